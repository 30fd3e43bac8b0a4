"""Choose what goes into the next batch file, and take the replies from those of the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from clairkit.display import excerpt
from clairkit.engine.program import Call
from clairkit.engine.replay import Work, known, rounds
from clairkit.errors import DataError
from clairkit.generation.batch.file import can_batch, read_results
from clairkit.journal.prices import BATCH
from clairkit.journal.results import Journal, JournalEntry, Recorded
from clairkit.models.outcomes import storable, thoughts_apart
from clairkit.models.reasons import reason
from clairkit.models.sampling import Failure, Outcome
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

_FLUSH = 500  # results that share a transaction


@dataclass
class Imported:
    """What was in the files that a batch left: results for this run, and others."""

    recorded: int = 0
    """Results that are in the journal now."""
    failures: Counter[str] = field(default_factory=Counter)
    """Of these, the failures by reason code."""
    earlier: int = 0
    """Results that the journal had."""
    foreign: int = 0
    """Results of requests that this run does not make."""


def local_part(work: Work[object], journal: Journal) -> Work[None]:
    """Return the part of a program that comes before the first request for a batch.

    Run with `run_works`, it makes the calls of models that can't be asked by a batch file, so
    that a batch of revisions can follow answers of a model in this process.
    """

    def program() -> Generator[Sequence[Call], Sequence[Recorded], None]:
        whole = work()
        try:
            calls = next(whole)
            while True:
                batched = [call for call in calls if can_batch(call.model)]
                if any(known(journal, call, ask_again=True) is None for call in batched):
                    yield [call for call in calls if not can_batch(call.model)]
                    return
                calls = whole.send((yield calls))
        except StopIteration:
            return
        finally:
            whole.close()

    return program


def open_calls(works: Iterable[Work[object]], journal: Journal) -> Iterator[Call]:
    """Yield the calls that programs ask and the journal has no result of, each key once."""
    seen: set[str] = set()
    for call, result in _calls(works, journal):
        if result is None and call.task.key not in seen:
            seen.add(call.task.key)
            yield call


def import_batches(
    paths: Sequence[str | Path],
    works: Callable[[], Iterable[Work[object]]],
    journal: Journal,
    marks: Marks = THOUGHT_MARKS,
) -> Imported:
    """Record what batches left: their output files, and their files of errors.

    A result counts for the request whose key it carries, whichever file it is in; one that is
    there twice, or was imported before, counts once. A request that failed in a way that may
    pass, as one that expired, is open again, unless another file has its reply.

    Args:
        paths: the files; they may belong to several rounds.
        works: makes the programs of all rows anew.
        journal: where the results go.
        marks: of the thoughts before an answer.

    Raises:
        DataError: a file is not an output of a batch, or no result in them belongs to this run.
    """
    left = {key for path in paths for key, _ in read_results(path)}
    if not left:
        raise DataError("0 results", path=paths[0], remedy="check that the batch has ended")
    imported = Imported()
    while left:
        asked, had = _places(works(), journal, left)
        imported.earlier += len(had)
        _record(paths, asked, journal, imported, marks)
        left -= asked.keys() | had
        if not asked:
            break
    imported.foreign = len(left)
    if left and not imported.recorded and not imported.earlier:
        raise DataError(
            "no result belongs to this run",
            path=paths[0],
            received=f"custom_id {excerpt(min(left))}",
            remedy="give the prompts and options of the export",
        )
    return imported


def _places(
    works: Iterable[Work[object]], journal: Journal, keys: set[str]
) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """Of these keys: step and model of those that are open, and those with a result."""
    asked: dict[str, tuple[str, str]] = {}
    had: set[str] = set()
    for call, result in _calls(works, journal):
        key = call.task.key
        if key in keys and result is None:
            asked[key] = call.step, call.model.name
        elif key in keys:
            had.add(key)
    return asked, had


def _calls(
    works: Iterable[Work[object]], journal: Journal
) -> Iterator[tuple[Call, Recorded | None]]:
    find = partial(known, journal, ask_again=True)
    return (found for work in works for each in rounds(work, find) for found in each)


def _record(
    paths: Sequence[str | Path],
    asked: Mapping[str, tuple[str, str]],
    journal: Journal,
    imported: Imported,
    marks: Marks,
) -> None:
    entries: list[JournalEntry] = []
    done: set[str] = set()
    for key, outcome in _replies_first(paths):
        if key not in asked or key in done:
            continue
        done.add(key)
        step, model = asked[key]
        kept = storable(thoughts_apart(outcome, marks))
        entries.append(JournalEntry(key, step, f"{BATCH}:{model.partition(':')[2]}", kept))
        imported.recorded += 1
        if isinstance(kept, Failure):
            imported.failures[kept.reason] += 1
        if len(entries) == _FLUSH:
            journal.write(entries)
            entries.clear()
    journal.write(entries)


def _replies_first(paths: Sequence[str | Path]) -> Iterator[tuple[str, Outcome]]:
    """All results; what failed in a way that may pass comes last, for it may have passed."""
    passing: list[tuple[str, Outcome]] = []
    for key, outcome in (result for path in paths for result in read_results(path)):
        if isinstance(outcome, Failure) and reason(outcome.reason).again:
            passing.append((key, outcome))
        else:
            yield key, outcome
    yield from passing
