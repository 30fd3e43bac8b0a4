"""Pack rows into blocks: what a worker is sent, and what it sends back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from clairkit.engine.program import Method
from clairkit.engine.replay import Open, trace
from clairkit.errors import ClairError
from clairkit.journal.results import Journal, JournalEntry
from clairkit.models.sampling import Failure, Outcome, Reply
from clairkit.records import PromptRow

_RESULTS = """
SELECT key, step, model, reason, detail, text, rationale, finish_reason,
       prompt_tokens, completion_tokens, tries, thoughts, seconds
FROM results ORDER BY rowid LIMIT -1 OFFSET ?
"""


@dataclass(frozen=True)
class Block:
    """Rows that stand one after the other, with the results that the journal has of them."""

    rows: tuple[PromptRow, ...]
    known: tuple[JournalEntry, ...]
    done: int
    """Rows that ask nothing more."""


@dataclass(frozen=True)
class BlockResult:
    """What a worker made of a block: new results, rows newly done, the error that stopped it."""

    entries: tuple[JournalEntry, ...] = ()
    done: int = 0
    error: ClairError | None = None


def blocks_of(
    rows: Iterable[PromptRow], method: Method, journal: Journal, size: int
) -> Iterator[Block]:
    """Yield the rows in blocks of `size`, in their order.

    The blocks are the same in a resumed run, and so are the batches that are formed in them.

    Args:
        rows: of the run.
        method: how a row becomes a pair.
        journal: what is known already; it goes with the rows.
        size: rows in a block.
    """
    source = iter(rows)
    while some := tuple(islice(source, size)):
        known: dict[tuple[str, str], JournalEntry] = {}
        done = 0
        for row in some:
            traced = trace(partial(method.program, row), journal, ask_again=True)
            done += not isinstance(traced.result, Open)
            for call, recorded in traced.steps:
                key, step = call.task.key, call.step
                known[key, step] = JournalEntry(key, step, call.model.name, recorded.outcome)
        yield Block(some, tuple(known.values()), done)


def results_after(journal: Path, count: int) -> tuple[JournalEntry, ...]:
    """Return the results of a journal without its first `count`, in their order."""
    with closing(sqlite3.connect(journal)) as database:
        database.row_factory = sqlite3.Row
        return tuple(_entry(row) for row in database.execute(_RESULTS, (count,)))


def _entry(row: sqlite3.Row) -> JournalEntry:
    spent = {name: row[name] for name in ("prompt_tokens", "completion_tokens", "tries", "seconds")}
    outcome: Outcome
    if row["reason"] is None:
        outcome = Reply(
            row["text"],
            row["finish_reason"],
            rationale=row["rationale"],
            thoughts=row["thoughts"],
            **spent,
        )
    else:
        outcome = Failure(row["reason"], row["detail"] or "", row["text"], **spent)
    return JournalEntry(row["key"], row["step"], row["model"], outcome)
