"""Write the files from the journal: each row, in its order, is a pair, has a reason, or is open."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile

from clairkit.engine.program import Method, Quarantined
from clairkit.engine.replay import Open, trace
from clairkit.errors import ClairError, ResourceError
from clairkit.journal.files import answer_of
from clairkit.journal.manifest import quarantine_path, seal
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal
from clairkit.journal.row_index import RowIndex
from clairkit.models.budget import Budget, ReachedCap
from clairkit.models.reasons import SAME_AS, reason
from clairkit.models.sampling import Failure
from clairkit.records import Pair, PromptRow, write_pairs, write_rows
from clairkit.records.json_types import JsonMapping, JsonObject

_IN_MEMORY = 2**23  # bytes; what is longer goes to the disk

RowResult = Pair | Quarantined | Open
_KEY_DIGITS = 16  # of a step's key, in a pair's provenance


class Spool:
    """Keeps rows as JSON has them, in a file without a name that ends with this object.

    Args:
        folder: where the file is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - closed by __exit__
            _IN_MEMORY, mode="w+", encoding="utf-8", newline="\n", dir=str(folder)
        )
        self._count = 0

    def add(self, row: JsonMapping) -> None:
        """Add a row.

        Raises:
            ResourceError: the disk is full, read-only, or not ours to write.
        """
        try:
            self._file.write(f"{json.dumps(row)}\n")
        except OSError as error:
            raise ResourceError(f"{self._folder}: can't be written to ({error.strerror})") from None
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[JsonObject]:
        """Yield the rows in the order in which they were added; all are there by now."""
        self._file.seek(0)
        return map(json.loads, self._file)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass(frozen=True)
class BuildResult:
    """What a run made.

    `counts` has the rows by reason code, `flags` those kept with a flag by its code, `unfinished`
    those that are not done: then `stop` is the error that ended the run, or `signal` the signal,
    or `reached` the cap on calls or cost that did. `calls`, `tokens` and `cost` (US$; None when a
    model has no price) are of this output in all, earlier runs included; `new_calls` are this
    run's own.
    """

    rows: int
    pairs: int
    counts: dict[str, int]
    flags: dict[str, int]
    unfinished: int
    calls: int
    tokens: dict[str, int]
    cost: float | None
    path: Path
    quarantine: Path | None
    journal: Path
    seconds: float
    stop: ClairError | None = None
    signal: int | None = None
    reached: ReachedCap | None = None
    examples: Mapping[str, str] = field(default_factory=dict)
    """By the code of a failure: the detail of the first row that has it."""
    new_calls: int = 0
    removing: int = 0
    """Rows of a removal that was cut short, and is still to be finished."""

    @property
    def over_budget(self) -> bool:
        """Whether a cap on calls or cost ended the run."""
        return self.reached is not None

    @property
    def failed(self) -> int:
        """How many rows should have become pairs and did not."""
        return sum(count for code, count in self.counts.items() if reason(code).failed)

    def facts(self) -> JsonObject:
        """Return what the manifest has of it: what the same run always gives."""
        names = ("rows", "pairs", "counts", "flags", "unfinished", "calls", "tokens", "cost")
        return {name: getattr(self, name) for name in names}


def row_results(
    rows: Iterable[PromptRow], method: Method, journal: Journal, index: RowIndex
) -> Iterator[RowResult]:
    """Yield what became of each row, in their order; a pair names its steps.

    Each row is noted in `index` with what it asked; rows that were removed for good are left out.

    Args:
        rows: of the run.
        method: how a row becomes a pair.
        journal: the results.
        index: where each row is noted.
    """
    seen: dict[str, str] = {}
    for position, row in index.kept(rows):
        traced = trace(partial(method.program, row), journal)
        index.note(position, row, ((call.step, call.task.key) for call, _ in traced.steps))
        result = traced.result
        if not isinstance(result, Pair):
            yield result
        elif result.id in seen:
            failure = Failure("duplicate", SAME_AS + seen[result.id])
            step = traced.steps[-1][0].step if traced.steps else "answer"
            sides = {"chosen": result.chosen, "rejected": result.rejected}
            answer = answer_of({**sides, "provenance": result.provenance})
            yield Quarantined(row, step, answer, failure)
        else:
            seen[result.id] = row.id
            steps = [
                {"step": call.step, "key": call.task.key[:_KEY_DIGITS], "model": call.model.name}
                for call, _ in traced.steps
            ]
            yield replace(result, provenance={**result.provenance, "steps": steps})


def export(
    rows: Iterable[PromptRow],
    method: Method,
    journal: Journal,
    budget: Budget,
    path: Path,
    *,
    prices: Prices,
    started: float,
) -> BuildResult:
    """Write the pairs, and the rows that became none, and count both.

    Args:
        rows: of the run.
        method: how a row becomes a pair.
        journal: the results.
        budget: says what stopped the run.
        path: the pair file.
        prices: of the models.
        started: by `time.monotonic()`.
    """
    counts: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    examples: dict[str, str] = {}
    unfinished = 0

    def pairs() -> Iterator[Pair]:
        nonlocal unfinished
        for result in row_results(rows, method, journal, index):
            if isinstance(result, Pair):
                flags.update({flag["reason"] for flag in result.provenance.get("flags", ())})
                yield result
            elif isinstance(result, Open):
                unfinished += 1
            else:
                failure = result.failure
                counts[failure.reason] += 1
                if reason(failure.reason).failed and failure.detail:
                    examples.setdefault(failure.reason, f"row {result.row.id}: {failure.detail}")
                bad.add(result.to_json())

    quarantine = quarantine_path(path)
    with Spool(path.parent) as bad:
        with RowIndex(journal.path) as index:
            count = write_pairs(path, pairs(), force=True)
        if bad:
            write_rows(quarantine, bad, force=True)
        else:
            quarantine.unlink(missing_ok=True)
    by_model = journal.usage_by_model()
    usage = journal.usage()
    result = BuildResult(
        rows=count + counts.total() + unfinished,
        pairs=count,
        counts=dict(counts.most_common()),
        flags=dict(flags.most_common()),
        unfinished=unfinished,
        calls=usage.calls,
        tokens={"prompt": usage.prompt_tokens, "completion": usage.completion_tokens},
        cost=prices.cost_of(by_model),
        path=path,
        quarantine=quarantine if counts else None,
        journal=journal.path,
        seconds=time.monotonic() - started,
        stop=budget.error,
        signal=budget.signal,
        reached=budget.reached,
        examples=examples,
        new_calls=usage.calls - budget.earlier,
    )
    entry = seal(path, "build", {"settings": dict(method.settings()), **result.facts()})
    return replace(result, removing=entry.get("removing", 0))
