"""Index which row asked for which results, in tables beside the results themselves.

Results are found by the digest of what was asked; these tables lead from a row to its digests, so
that a row can be explained, removed and merged without the models and settings of the run.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from clairkit.display import excerpt
from clairkit.errors import UsageError
from clairkit.journal.database import faults, transaction
from clairkit.records import PromptRow, digest
from clairkit.records.json_types import JsonObject

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")

_TABLES = """
CREATE TABLE IF NOT EXISTS rows (
    id TEXT PRIMARY KEY, position INTEGER NOT NULL, columns TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (
    row TEXT NOT NULL, step TEXT NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (row, step, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS asked_by_key ON asked (key, step);
CREATE TABLE IF NOT EXISTS removed (row TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS removing (
    kind TEXT NOT NULL, mark TEXT NOT NULL, PRIMARY KEY (kind, mark)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sealed (place INTEGER PRIMARY KEY, digest BLOB NOT NULL);
"""
_ROWS_A_WRITE = 1000


@dataclass(frozen=True)
class Shard:
    """Every `count`-th row, beginning with row `number`; can be iterated as often as `rows` can.

    `number` is from 1 to `count`. Shards of one file, built with the same settings, merge into
    what one run over the whole file gives: see `clairkit.audit.merge`.
    """

    rows: Iterable[PromptRow]
    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(
                "there is no such shard",
                received=f"{self.number}/{self.count}",
                remedy="number shards from 1/N to N/N",
            )

    def __iter__(self) -> Iterator[PromptRow]:
        return islice(iter(self.rows), self.number - 1, None, self.count)

    @property
    def path(self) -> str:
        """Where the rows come from, for messages."""
        return str(getattr(self.rows, "path", ""))


def parse_shard(text: str) -> tuple[int, int]:
    """Return number and count of `I/N`.

    Raises:
        UsageError: it is not such a text.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise UsageError("not a shard", received=excerpt(text), remedy="write I/N, as in 1/4")
    return int(found[1]), int(found[2])


def placed(rows: Iterable[PromptRow]) -> Iterator[tuple[int, PromptRow]]:
    """Yield each row with its place, from 0, among all prompts."""
    if isinstance(rows, Shard):
        first, step = rows.number - 1, rows.count
        return ((first + step * at, row) for at, row in enumerate(rows))
    return enumerate(rows)


class RowIndex:
    """Notes the rows of a run in its journal; several may read while one writes.

    Args:
        journal: the journal's file, which is there.
    """

    def __init__(self, journal: Path) -> None:
        self.path = journal
        self._waiting: list[tuple[str, int, str, tuple[tuple[str, str], ...]]] = []
        with faults(journal):
            self.database = sqlite3.connect(journal, isolation_level=None)
            # What is deleted or replaced, as a row's columns, is overwritten and not only let go.
            self.database.execute("PRAGMA secure_delete = ON")
            create_row_tables(self.database)

    def note(self, position: int, row: PromptRow, steps: Iterable[tuple[str, str]]) -> None:
        """Note a row, where it stands among the prompts, and the (step, key) that it asked.

        What it asked under earlier settings stays noted.
        """
        columns = json.dumps(dict(row.extra), default=str)
        self._waiting.append((row.id, position, columns, tuple(steps)))
        if len(self._waiting) >= _ROWS_A_WRITE:
            self.flush()

    def flush(self) -> None:
        """Bring all notes to the disk."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        with faults(self.path), transaction(self.database):
            self.database.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", [noted for *noted, _ in waiting]
            )
            self.database.executemany(
                "INSERT OR IGNORE INTO asked VALUES (?, ?, ?)",
                [(row, *step) for row, *_, steps in waiting for step in steps],
            )

    def removed(self) -> frozenset[str]:
        """Return the marks (see `row_mark`) of the rows that were removed for good."""
        with faults(self.path):
            return frozenset(mark for (mark,) in self.database.execute("SELECT row FROM removed"))

    def kept(self, rows: Iterable[PromptRow]) -> Iterator[tuple[int, PromptRow]]:
        """Return the rows that were not removed for good, each with its place among all."""
        gone = self.removed()
        return ((at, row) for at, row in placed(rows) if not gone or row_mark(row.id) not in gone)

    def mark_removed(self, rows: Iterable[str]) -> None:
        """Remember that these rows are to be left out of everything from now on."""
        with faults(self.path):
            self.database.executemany(
                "INSERT OR IGNORE INTO removed VALUES (?)", [(row_mark(row),) for row in rows]
            )

    def close(self) -> None:
        """Bring all notes to the disk and close."""
        try:
            self.flush()
        finally:
            self.database.close()

    def __enter__(self) -> RowIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_row_tables(database: sqlite3.Connection) -> None:
    """Make these tables where they are not there."""
    database.executescript(_TABLES)


def kept_rows(rows: Iterable[PromptRow], journal: Path) -> Iterator[PromptRow]:
    """Return the rows that were not removed for good from the output of a journal."""
    with RowIndex(journal) as index:
        return (row for _, row in index.kept(rows))


def row_mark(row_id: str) -> str:
    """Return what is kept of a removed row: a digest of its id, and nothing of its content."""
    return digest(["removed row", row_id])[:32]


def find_rows(database: sqlite3.Connection, start: str) -> Sequence[str]:
    """Return the ids of the noted rows that begin with `start`, at most three."""
    escaped = start.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found = database.execute(
        "SELECT id FROM rows WHERE id = ? OR id LIKE ? ESCAPE '\\' ORDER BY id != ?, id LIMIT 3",
        (start, f"{escaped}%", start),
    ).fetchall()
    return [row_id for (row_id,) in found]


def columns_of(text: str) -> JsonObject:
    """Return the noted columns of a row."""
    columns: JsonObject = json.loads(text)
    return columns
