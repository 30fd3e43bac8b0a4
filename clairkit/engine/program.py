"""Define row programs: what is asked for one row, round after round, up to a pair or a reason.

A program is a generator. It yields the calls of one round, is sent their results as the journal
has them, and returns what became of the row. The engine runs the calls that the journal has no
result of; the export replays the same program over the journal alone. One text thus says what a
run asks, what a resumed run still has to ask, and what its files hold.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from clairkit.journal.results import SCHEMA_VERSION, Recorded
from clairkit.models.requests import Model, Task
from clairkit.models.sampling import Failure, Sampling
from clairkit.records import Pair, PromptRow, digest
from clairkit.records.json_types import JsonMapping, JsonObject


@dataclass(frozen=True)
class Call:
    """One request of a row.

    `step` names it in the journal (`answer`, `revise`, `revise.2` for a second round, `judge`).
    Models that run in this process take all calls of one `stage` before those of the next, so
    that their batches are the same in a resumed run; what comes later has a higher stage.
    """

    step: str
    stage: int
    model: Model
    task: Task


@dataclass(frozen=True)
class Quarantined:
    """A row that became no pair, and why."""

    row: PromptRow
    step: str
    answer: str | None
    failure: Failure

    def to_json(self) -> JsonObject:
        """Return the row as an object of the quarantine file."""
        failure = self.failure
        row: JsonObject = {
            "id": self.row.id,
            "reason": failure.reason,
            "detail": failure.detail,
            "step": self.step,
            "prompt": list(self.row.prompt),
            "answer": self.answer,
        }
        return {**row, "reply": failure.text} if failure.text else row


class _NoMore(tuple[Call, ...]):
    """A round without calls."""


NO_MORE: Sequence[Call] = _NoMore()
"""Yielded by a program that has asked all it asks, before it makes the pair out of it.

A run that only makes calls leaves the program there; a replay goes on. It may be left out."""

Program = Generator[Sequence[Call], Sequence[Recorded], Pair | Quarantined]
"""A row's program. A part of one, used by `yield from`, returns what that part found."""


class Method(Protocol):
    """How a row becomes a pair."""

    @property
    def name(self) -> str:
        """`clair`, `judge-on-policy`, …; with underscores it is the pairs' `source`."""

    @property
    def models(self) -> Mapping[str, Model]:
        """The models by role (`target`, `reviser`, `judge`), to be closed at the end."""

    def settings(self) -> JsonMapping:
        """Return what may not change from one run to the next on the same output; flat."""

    def program(self, row: PromptRow) -> Program:
        """Return the program of a row. It reads nothing but the row and what it is sent."""


def request_key(
    kind: str, model: Model, decides: JsonMapping, *, row: PromptRow, sampling: Sampling
) -> str:
    """Return the key of one request.

    Args:
        kind: what is asked: `answer`, `revise`, `judge`.
        model: who is asked; its identity is part of the key.
        decides: all else that determines the result, as JSON has it: prompt, answer, template
            hash, settings of the mode.
        row: a function is handed the row's columns, so that they determine its result.
        sampling: of a model that is not a function.
    """
    more = {"row": row_columns(row)} if model.is_function else {"sampling": sampling.to_json()}
    return digest(
        {"schema": SCHEMA_VERSION, "step": kind, "model": model.identity, **decides, **more}
    )


def row_columns(row: PromptRow) -> JsonObject:
    """Return what a function is handed of a row: plain JSON, so that the key can hold it."""
    if not row.extra:
        return {"id": row.id}
    plain: JsonObject = json.loads(json.dumps({"id": row.id, **row.extra}, default=str))
    return plain
