"""The journals of several outputs in one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.generation.audit.rowbook import faults, reading, row_mark, transaction
from clairkit.generation.journal import add_thoughts, differences, has_thoughts

_COPY = """
INSERT INTO results SELECT theirs.*{more} FROM part.results AS theirs
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
    settings: Mapping[str, Any]
    unsettled: frozenset[tuple[int, str]]


def merge_journals(parts: Sequence[Path], final: Path) -> MergedJournal:
    """Write the journal `final` with all that the journals `parts` have.

    Raises:
        UsageError: they were made with different settings, or by different versions of clairkit.
        DataError: one lacks what it should have; a row was removed from one and is in another;
            different rows have the same id.
    """
    settings = _shared_settings(parts)
    fresh = final.with_name(f".{final.name}.merge")
    fresh.unlink(missing_ok=True)
    try:
        with faults(fresh), closing(sqlite3.connect(fresh, isolation_level=None)) as database:
            _create(database, parts)
            unsettled: set[tuple[int, str]] = set()
            for index, (part, shift) in enumerate(zip(parts, _shifts(parts), strict=True)):
                earlier, own = _add(database, part, shift)
                unsettled |= {(index, row) for row in own}
                unsettled |= {(other, row) for other in range(index) for row in earlier}
            _check_removed(database, parts)
            counts = [
                int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
                for table in ("rows", "results")
            ]
        for old in (final.with_name(f"{final.name}{end}") for end in ("-wal", "-shm")):
            old.unlink(missing_ok=True)  # of a journal that is replaced
        fresh.replace(final)
    finally:
        fresh.unlink(missing_ok=True)
    return MergedJournal(final, counts[0], counts[1], settings, frozenset(unsettled))


def _shared_settings(parts: Sequence[Path]) -> Mapping[str, Any]:
    first: Mapping[str, Any] | None = None
    for part in parts:
        with reading(part) as database:
            row = database.execute("SELECT value FROM meta WHERE name = 'settings'").fetchone()
        settings: Mapping[str, Any] = json.loads(row[0]) if row else {}
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


def _create(database: sqlite3.Connection, parts: Sequence[Path]) -> None:
    made = [sorted(_definitions(part)) for part in parts]
    for part, definitions in zip(parts, made, strict=True):
        if definitions != made[0]:
            raise UsageError(
                f"{part.name} was made by another version of clairkit than {parts[0].name}",
                remedy="run build-pairs on both once more",
            )
    for definition in _definitions(parts[0]):
        database.execute(definition)
    add_thoughts(database)
    with reading(parts[0]) as first:
        kept = first.execute("SELECT * FROM meta WHERE name IN ('schema_version', 'settings')")
        database.executemany("INSERT INTO meta VALUES (?, ?)", kept.fetchall())


def _definitions(part: Path) -> Iterator[str]:
    """What makes a part's tables, without the column that journals of before lack."""
    with reading(part) as database:
        for kind in ("table", "index"):
            yield from (
                sql.replace(", thoughts TEXT", "") for (sql,) in database.execute(
                    "SELECT sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL "
                    "AND name NOT LIKE 'sqlite_%'", (kind,)
                ).fetchall()
            )  # fmt: skip


def _add(database: sqlite3.Connection, part: Path, shift: int) -> tuple[set[str], set[str]]:
    """Add a part; return whose replies were not kept: rows of earlier parts, rows of this one."""
    earlier: set[str] = set()
    own: set[str] = set()
    database.execute("ATTACH ? AS part", (str(part.resolve()),))
    try:
        with transaction(database):
            if clash := database.execute(_CLASH).fetchone():
                raise DataError("two parts have different rows of the same id", path=part,
                                received=excerpt(clash[0]),
                                remedy="give rows ids of their own, and build one part anew",
                )  # fmt: skip
            for key, step in database.execute(_SHARED).fetchall():
                loser = _settle(database, key, step)
                if loser:
                    into = earlier if loser == "main" else own
                    asked = f"SELECT row FROM {loser}.asked WHERE key = ? AND step = ?"
                    into |= {row for (row,) in database.execute(asked, (key, step))}
            more = "" if has_thoughts(database, "part") else ", NULL"
            database.execute(_COPY.format(more=more))
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


def _check_removed(database: sqlite3.Connection, parts: Sequence[Path]) -> None:
    marks = {mark for (mark,) in database.execute("SELECT row FROM removed")}
    for (row,) in database.execute("SELECT id FROM rows") if marks else ():
        if row_mark(row) in marks:
            raise DataError("a row was removed from one part and is still in another",
                            path=parts[0], received=row,
                            remedy="remove it from every part first")  # fmt: skip
