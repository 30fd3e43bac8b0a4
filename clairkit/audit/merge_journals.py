"""Merge the journals of several outputs into one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from clairkit.display import excerpt
from clairkit.errors import DataError, ResourceError, UsageError
from clairkit.journal.database import faults, read_meta, reading, transaction, write_meta
from clairkit.journal.results import create_tables, differences
from clairkit.journal.row_index import create_row_tables, row_mark
from clairkit.journal.sealed_results import START, note_change
from clairkit.records.json_types import JsonMapping
from clairkit.records.output import atomic_path

_COPY = """
INSERT INTO results ({0}) SELECT {0} FROM part.results AS theirs
WHERE NOT EXISTS (SELECT 1 FROM results AS ours
    WHERE ours.key = theirs.key AND ours.step = theirs.step)
ORDER BY theirs.rowid
"""
_COPY_ROWS = "INSERT OR REPLACE INTO rows SELECT id, position + ?, columns FROM part.rows"
_SHARED = """
SELECT DISTINCT theirs.key, theirs.step FROM part.results AS theirs
JOIN main.results AS ours USING (key, step)
"""
_CLASH = """
SELECT id FROM part.rows AS theirs JOIN main.rows AS ours USING (id)
WHERE EXISTS (SELECT 1 FROM main.asked WHERE row = id)
AND EXISTS (SELECT 1 FROM part.asked WHERE row = id)
AND NOT EXISTS (SELECT 1 FROM part.asked AS a JOIN main.asked AS b USING (row, step, key)
    WHERE a.row = id)
ORDER BY id LIMIT 1
"""  # the same row asks the same
_MERGE = "merge"  # in `meta`
_LATEST = """
SELECT reason IS NULL, text, rationale, finish_reason FROM {}.results
WHERE key = ? AND step = ? ORDER BY attempt DESC LIMIT 1
"""


@dataclass(frozen=True)
class MergedJournal:
    """A merged journal: how many rows and results it has, and the settings that all share.

    `unsettled` has (number of a part, row): rows whose place in that part's files was made from
    a reply or failure that another part's took the place of.
    """

    path: Path
    rows: int
    results: int
    settings: JsonMapping
    unsettled: frozenset[tuple[int, str]]


def merge_journals(
    parts: Sequence[Path], final: Path, *, head: str = START, request: str = ""
) -> MergedJournal:
    """Write the journal `final` with all that the journals `parts` have.

    Args:
        parts: the journals.
        final: where the merged one goes; what is there is replaced.
        head: the hash of the last line of the manifest that is there.
        request: what is noted in the journal of this merge, until it is sealed.

    Raises:
        UsageError: they were made with different settings, or by different versions of clairkit.
        DataError: one lacks what it should have; a row was removed from one and is in another;
            different rows have the same id.
    """
    settings = _shared_settings(parts)
    with atomic_path(final) as fresh:
        with faults(final), closing(sqlite3.connect(fresh, isolation_level=None)) as database:
            _create(database, parts)
            unsettled: set[tuple[int, str]] = set()
            for index, (part, shift) in enumerate(zip(parts, _shifts(parts), strict=True)):
                earlier, own = _add(database, part, shift)
                unsettled |= {(index, row) for row in own}
                unsettled |= {(other, row) for other in range(index) for row in earlier}
            _check_removed(database, parts)
            with transaction(database):
                note_change(database, head)
                write_meta(database, _MERGE, request)
            counts = [
                int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
                for table in ("rows", "results")
            ]
        _close(final)
    return MergedJournal(final, counts[0], counts[1], settings, frozenset(unsettled))


def _shared_settings(parts: Sequence[Path]) -> JsonMapping:
    first: JsonMapping | None = None
    for part in parts:
        with reading(part) as database:
            settings: JsonMapping = read_meta(database, "settings") or {}
        if first is None:
            first = settings
        elif changes := differences(first, settings):
            raise UsageError(
                f"{part.name} was made with other settings than {parts[0].name}: "
                + "; ".join(changes),
                remedy="build it anew with the same settings, or keep them apart",
            )
    return first or {}


def _shifts(parts: Sequence[Path]) -> tuple[int, ...]:
    """What to add to the positions: nothing for shards of one file, else part after part."""
    ids_by_position: dict[int, str] = {}
    shifts, end, are_shards = [], 0, True
    for part in parts:
        with reading(part) as database:
            rows = database.execute("SELECT position, id FROM rows").fetchall()
        for position, row_id in rows:
            are_shards &= ids_by_position.setdefault(position, row_id) == row_id
        shifts.append(end)
        end += 1 + max((position for position, _ in rows), default=-1)
    return (0,) * len(parts) if are_shards else tuple(shifts)


def _close(journal: Path) -> None:
    """Let a journal that is to be replaced be one file: its log would be taken for the new one's.

    Raises:
        ResourceError: another process reads it.
    """
    if not journal.exists():
        return
    try:
        with closing(sqlite3.connect(journal, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise ResourceError(
            f"{journal}: the journal can't be replaced ({error})",
            remedy="let the process end that reads it",
        ) from None
    except sqlite3.DatabaseError:  # whatever it is, it is not a journal, and neither is its log
        for end in ("-wal", "-shm", "-journal"):
            journal.with_name(f"{journal.name}{end}").unlink(missing_ok=True)


def _create(database: sqlite3.Connection, parts: Sequence[Path]) -> None:
    """Make the tables of this version; parts of earlier ones may lack columns."""
    database.execute("PRAGMA journal_mode = MEMORY")  # one file, which nobody else knows of yet
    create_tables(database)
    create_row_tables(database)
    ours = set(_columns(database, "main"))
    for part in parts:
        with reading(part) as theirs:
            unknown = sorted(set(_columns(theirs, "main")) - ours)
        if unknown:
            raise UsageError(
                f"{part.name} was made by a later version of clairkit",
                received=", ".join(unknown),
                remedy="update clairkit",
            )
    with reading(parts[0]) as first:
        kept = first.execute("SELECT * FROM meta WHERE name IN ('schema_version', 'settings')")
        database.executemany("INSERT INTO meta VALUES (?, ?)", kept.fetchall())


def _columns(database: sqlite3.Connection, schema: str) -> list[str]:
    found = database.execute("SELECT name FROM pragma_table_info('results', ?)", (schema,))
    return [name for (name,) in found]


def _add(database: sqlite3.Connection, part: Path, shift: int) -> tuple[set[str], set[str]]:
    """Add a part; return whose replies were not kept: rows of earlier parts, rows of this one."""
    earlier: set[str] = set()
    own: set[str] = set()
    database.execute("ATTACH ? AS part", (str(part.resolve()),))
    try:
        with transaction(database):
            if clash := database.execute(_CLASH).fetchone():
                raise DataError(
                    "two parts have different rows of the same id",
                    path=part,
                    received=excerpt(clash[0]),
                    remedy="give rows ids of their own, and build one part anew",
                )
            for key, step in database.execute(_SHARED).fetchall():
                loser = _settle(database, key, step)
                if loser:
                    into = earlier if loser == "main" else own
                    asked = f"SELECT row FROM {loser}.asked WHERE key = ? AND step = ?"
                    into |= {row for (row,) in database.execute(asked, (key, step))}
            columns = ", ".join(f'"{name}"' for name in _columns(database, "part"))
            database.execute(_COPY.format(columns))
            database.execute(_COPY_ROWS, (shift,))
            for table in ("asked", "removed"):
                database.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM part.{table}")
    finally:
        database.execute("DETACH part")
    return earlier, own


def _settle(database: sqlite3.Connection, key: str, step: str) -> str | None:
    """Choose between two results of one request; return which one was not kept, if they differ."""
    ours, theirs = (
        database.execute(_LATEST.format(name), (key, step)).fetchone() for name in ("main", "part")
    )
    if ours == theirs:
        return None
    if theirs[0] and not ours[0]:  # a reply takes the place of a failure
        database.execute("DELETE FROM main.results WHERE key = ? AND step = ?", (key, step))
        return "main"
    return "part"


def merge_of(journal: Path) -> str | None:
    """Return what was noted of the merge that made a journal; None when it is no such journal."""
    try:
        with reading(journal) as database:
            request: str | None = read_meta(database, _MERGE)
    except DataError:
        return None
    return request


def _check_removed(database: sqlite3.Connection, parts: Sequence[Path]) -> None:
    marks = {mark for (mark,) in database.execute("SELECT row FROM removed")}
    for (row,) in database.execute("SELECT id FROM rows") if marks else ():
        if row_mark(row) in marks:
            raise DataError(
                "a row was removed from one part and is still in another",
                path=parts[0],
                received=row,
                remedy="remove it from every part first",
            )
