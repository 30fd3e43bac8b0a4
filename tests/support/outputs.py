"""Small outputs of real runs, by chat models that live in the test."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clairkit.generation import BuildSettings, build_pairs
from clairkit.generation.gates import GATES, GatePolicy
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.journal.database import reading
from clairkit.journal.row_index import Shard
from clairkit.journal.sealed_results import results_digest
from clairkit.models.budget import Budget
from clairkit.models.requests import Task
from clairkit.models.sampling import Failure, Outcome, Reply
from clairkit.records import Message, PromptRow
from clairkit.records.json_types import JsonObject

_ANSWER = re.compile(r"\[\[answer:([0-9a-f]{8})\]\]\n(.*)\n\[\[answer-end:\1\]\]", re.DOTALL)
_GATES = GatePolicy.parse(
    [f"{reason}=keep" for reason in GATES if reason not in ("no_op", "numbers_changed")]
)

Revise = Callable[[str], str]


def prompt(number: int, *, answer: str | None = None, **columns: Any) -> PromptRow:
    """A row whose prompt and person are recognisable in any file."""
    text = f"secret question {number}"
    columns = {"user": f"person-{number}", **columns}
    return PromptRow((Message(role="user", content=text),), answer, f"row-{number}", columns)


def renamed(row: PromptRow, name: str, **columns: Any) -> PromptRow:
    """The same prompt from someone else."""
    return replace(row, id=name, extra={**row.extra, **columns})


@dataclass(frozen=True)
class Chat:
    """A chat model. `say` gets the last message; what it raises as a ValueError fails that row."""

    name: str
    say: Callable[[str], str]
    identity: Mapping[str, Any]
    most: list[int] = field(default_factory=lambda: [1_000_000])
    """How many replies are left; then the rows stay open."""

    is_function = False
    batch_size = 1
    concurrency = 1

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        (task,) = tasks
        assert budget.take()
        if not self.most[0]:
            return [Failure("halted")]
        self.most[0] -= 1
        try:
            return [Reply(self.say(task.messages[-1]["content"]), "stop", 10, 5)]
        except ValueError as error:
            return [Failure("bad_request", str(error))]

    async def close(self) -> None:
        """Nothing is held."""


def reply(revise: Revise) -> Callable[[str], str]:
    """A reviser that follows the `clair` template."""

    def say(request: str) -> str:
        found = _ANSWER.search(request)
        assert found is not None
        return f"[[revision:{found[1]}]]\n{revise(found[2])}\n[[end:{found[1]}]]"

    return say


def build(
    output: Path,
    rows: Sequence[PromptRow],
    *,
    revise: Revise = str.upper,
    shard: tuple[int, int] | None = None,
    stop_after: int | None = None,
    version: int | str = 1,
    asked: ReviseSettings | None = None,
    **options: Any,
) -> Path:
    """Let `I say …` be revised by `revise`, as far as the journal lacks it.

    What `revise` leaves as it was is a `no_op`. After `stop_after` answers the target says nothing
    more. Another `version` of the reviser is another model.
    """
    most = [1_000_000 if stop_after is None else stop_after]
    target = Chat("test:target", lambda text: f"I say {text}", {"kind": "test", "id": "t"}, most)
    reviser = Chat("test:reviser", reply(revise), {"kind": "test", "version": version})
    build_pairs(
        Shard(rows, *shard) if shard else rows,
        target=target,
        reviser=reviser,
        output=output,
        settings=BuildSettings(gates=_GATES, revise=asked),
        **options,
    )
    return output


def unasked(text: str) -> str:
    """A reviser that must not be asked."""
    raise AssertionError(text)


def journal_digest(journal: Path, first: int | None = None) -> JsonObject:
    """Return how many results a journal file has, and the digest over them."""
    with reading(journal) as database:
        return results_digest(database, first)
