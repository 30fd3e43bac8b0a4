"""Remember a removal in the journal until it is done: digests of what goes, no texts.

It is on the disk before anything is deleted, so that whoever comes after a kill knows what is to
be finished, and the same call finishes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from clairkit.journal.database import read_meta, write_meta
from clairkit.journal.row_index import row_mark
from clairkit.records import digest
from clairkit.records.json_types import JsonObject

_STATE = "removal"  # in `meta`: whether it is done, and the files that it did not touch
_WRITE = "INSERT OR IGNORE INTO removing VALUES (?, ?)"


@dataclass(frozen=True)
class Intent:
    """The last removal of an output. What was asked, rows and pairs are there as marks."""

    requests: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()
    pairs: frozenset[str] = frozenset()
    beside: tuple[str, ...] = ()
    """Files that are no part of the output, and held texts of the rows when it began."""
    is_done: bool = True

    @property
    def pending(self) -> int:
        """How many rows are still to be removed."""
        return 0 if self.is_done else len(self.rows)


def read_intent(database: sqlite3.Connection) -> Intent:
    """Return the last removal; an empty one, which is done, when there was none."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'removing'")
    if tables.fetchone() is None:
        return Intent()
    marks: dict[str, set[str]] = {"request": set(), "row": set(), "pair": set()}
    for kind, mark in database.execute("SELECT kind, mark FROM removing"):
        marks[kind].add(mark)
    state: JsonObject = read_meta(database, _STATE) or {"done": True, "beside": []}
    return Intent(
        frozenset(marks["request"]),
        frozenset(marks["row"]),
        frozenset(marks["pair"]),
        tuple(state["beside"]),
        is_done=state["done"],
    )


def record_intent(
    database: sqlite3.Connection,
    requests: Iterable[str],
    rows: Collection[str],
    pairs: Iterable[str],
    beside: Iterable[str],
) -> Intent:
    """Note what is to be removed, in the caller's transaction, and return it.

    One that was cut short is finished with it.

    Args:
        database: the journal, open for writing.
        requests: marks of what was asked.
        rows: ids of prompt rows.
        pairs: ids of their pairs.
        beside: files that hold their texts and are not touched.
    """
    earlier = read_intent(database)
    if earlier.is_done and not earlier.rows >= set(map(row_mark, rows)):
        database.execute("DELETE FROM removing")
        earlier = Intent()
    marks = [row_mark(row) for row in rows]
    noted = [("request", mark) for mark in requests] + [("row", mark) for mark in marks]
    noted += [("pair", pair_mark(pair)) for pair in pairs]
    database.executemany(_WRITE, noted)
    beside = sorted({*earlier.beside, *beside})
    write_meta(database, _STATE, {"done": False, "beside": beside})
    return read_intent(database)


def finish_intent(database: sqlite3.Connection, intent: Intent) -> None:
    """Note that nothing is left to be removed; the same call may still be given again."""
    write_meta(database, _STATE, {"done": True, "beside": intent.beside})


def forget_intent(database: sqlite3.Connection) -> None:
    """Forget a removal that is done, in the caller's transaction."""
    database.execute("DELETE FROM removing")
    database.execute("DELETE FROM meta WHERE name = ?", (_STATE,))


def request_mark(kind: str, text: str) -> str:
    """Return what is kept of an `id` or a `where` that was asked to be removed."""
    return digest(["removal", kind, text])[:32]


def pair_mark(pair: str) -> str:
    """Return what is kept of a pair's id while it is being removed."""
    return digest(["removed pair", pair])[:32]
