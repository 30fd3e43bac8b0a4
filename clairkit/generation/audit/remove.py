"""Removal of rows for good: from the journal, the pairs, the quarantine and what was made of them.

What is kept of a removed row is a digest of its id, so that the same prompts built once more leave
it out.
"""

from __future__ import annotations

import glob
import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.generation.audit.card import card_path
from clairkit.generation.audit.explain import row_of
from clairkit.generation.audit.files import Row, pairs_of, rows_of, set_aside, without
from clairkit.generation.audit.manifest import Entry, manifest_path, quarantine_path, seal
from clairkit.generation.audit.rowbook import (
    RowBook,
    columns_of,
    faults,
    reading,
    row_mark,
    transaction,
)
from clairkit.generation.journal import journal_path
from clairkit.generation.reasons import SAME_AS
from clairkit.records.lock import FileLock

_DELETE_RESULTS = """
DELETE FROM results WHERE (key, step) IN (SELECT key, step FROM asked WHERE row = ?)
AND NOT EXISTS (SELECT 1 FROM asked
    WHERE asked.key = results.key AND asked.step = results.step AND asked.row != ?)
"""


@dataclass(frozen=True)
class Removal:
    """What a removal did, in rows. `files` has the dropped rows by file; `entry` is its seal."""

    rows: int
    results: int
    files: dict[str, int]
    reopened: int
    """Rows that were set aside as duplicates of removed ones: pairs with the next build."""
    beside: tuple[str, ...]
    """Files beside the output that may hold texts of the rows, too, and were not touched."""
    entry: Entry


def choose_rows(output: Path, *, ids: Iterable[str] = (), where: Iterable[str] = ()) -> list[str]:
    """Return the ids of the prompt rows that a removal is about; nothing is written.

    Args:
        output: the pair file or folder.
        ids: ids of prompt rows or pairs, whole.
        where: conditions `COLUMN=VALUE` on columns of the prompt file; a row is meant when one
            holds. `COLUMN` may go into objects, as in `user.name`.

    Raises:
        UsageError: a condition has no `=`, or nothing is given.
        DataError: an id or condition meets no row.
    """
    ids, conditions = list(ids), [_condition(text) for text in where]
    if not ids and not conditions:
        raise UsageError("no row is named", remedy="give --id ID or --where COLUMN=VALUE")
    with reading(journal_path(output)) as database:
        found = database.execute("SELECT id, columns FROM rows").fetchall()
        gone = {mark for (mark,) in database.execute("SELECT row FROM removed")}
    noted = {row_id: columns_of(columns) for row_id, columns in found}
    rows_by_pair = {pair["id"]: row_of(pair) for pair in pairs_of(output)} if ids else {}
    chosen: set[str] = set()
    for name in ids:
        row_id = name if name in noted or row_mark(name) in gone else rows_by_pair.get(name)
        if row_id is None:
            raise DataError("no pair and no row has this id", path=output, received=excerpt(name))
        chosen.add(row_id)
    for column, value in conditions:
        met = {row_id for row_id, columns in noted.items() if _value(columns, column) == value}
        if not met:
            received = excerpt(f"{column}={value}")
            raise DataError("no row meets the condition", path=output, received=received,
                            remedy=f"columns are {_names(noted.values())}")  # fmt: skip
        chosen |= met
    return sorted(chosen)


def remove(
    output: Path, rows: Collection[str], *, also: Sequence[Path] = (), unknown: bool = False
) -> Removal:
    """Remove prompt rows and all that was made of them; the rest is left as it is.

    The journal first remembers what is to go: the next build leaves it out in any case, and a
    removal that was cut short is brought to its end by the same call.

    Args:
        output: the pair file or folder.
        rows: ids of prompt rows, from `choose_rows`.
        also: other pair files made from this one (scored, split, converted), written again. A
            row counts by the prompt row in its provenance, else by its id.
        unknown: delete the results that no row is known of, too.

    Raises:
        UsageError: another process works on the output.
        DataError: results are there that no row is known of, as after a kill; a file of `also`
            is missing, or has rows that can't be told.
        ResourceError: a file can't be written.
    """
    with FileLock(output.with_name(f"{output.name}.journal.lock")):
        with RowBook(journal_path(output)) as book:
            _check_all_known(book.database, output, unknown=unknown)
            for path in also:
                _check_told(path)
            book.mark_removed(rows)
            files, reopened = _rewrite(output, book.removed(), set(rows), also)
            results = _delete(book, rows, unknown=unknown)
            marks = book.removed()
        pairs = sum(1 for _ in rows_of(output))
        entry = seal(output, "remove", {"pairs": pairs, "removed": len(marks)})
    beside = _beside(output, files)
    return Removal(len(rows), results, files, reopened, beside, entry)


def _beside(output: Path, files: Collection[str]) -> tuple[str, ...]:
    """Files that other modes of build-pairs wrote, as a reviser's probe does."""
    ours = {*map(Path, files), journal_path(output), manifest_path(output), card_path(output)}
    found = output.parent.glob(f"{glob.escape(output.name)}.*")
    return tuple(str(path) for path in sorted(found) if path not in ours and path.is_file())


def _check_told(path: Path) -> None:
    for number, row in enumerate(rows_of(path), 1):
        if not isinstance(row.get("id"), str):
            raise DataError(f"row {number} has no id, so that nobody can tell whose it is",
                            path=path, remedy="make the file anew from the pairs")  # fmt: skip


def _condition(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise UsageError("not a condition", received=text, remedy="write COLUMN=VALUE")
    return column, value


def _value(columns: Row, name: str) -> str | None:
    """A column's value as text; `a.b` goes into an object when there is no column `a.b`."""
    found: Any = columns
    for part in [name] if name in columns else name.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found if isinstance(found, str) else json.dumps(found)


def _names(columns: Iterable[Row]) -> str:
    names = sorted({name for each in columns for name in each})
    return excerpt(", ".join(names)) if names else "none but prompt, answer and id; use --id"


_UNKNOWN = (
    "NOT EXISTS (SELECT 1 FROM asked WHERE asked.key = results.key AND asked.step = results.step)"
)


def _check_all_known(database: sqlite3.Connection, output: Path, *, unknown: bool) -> None:
    (count,) = database.execute(f"SELECT COUNT(*) FROM results WHERE {_UNKNOWN}").fetchone()
    if count and not unknown:
        raise DataError(
            f"which row asked for {count} of the results is not known: a run was cut short",
            path=journal_path(output),
            remedy="run build-pairs once more, or delete these results, too, with --unknown",
        )


def _delete(book: RowBook, rows: Collection[str], *, unknown: bool) -> int:
    """Delete the rows and the results that only they asked for; return how many results."""
    database = book.database
    with faults(book.path):
        before = _count(database)
        with transaction(database):
            inherited = _inherited(database)
            for row in rows:
                database.execute(_DELETE_RESULTS, (row, row))
                database.execute("DELETE FROM asked WHERE row = ?", (row,))
                database.execute("DELETE FROM rows WHERE id = ?", (row,))
            if unknown:
                database.execute(f"DELETE FROM results WHERE {_UNKNOWN}")
            if inherited is not None:
                left = f"(SELECT COUNT(*) FROM results WHERE rowid <= {inherited})"
                database.execute(f"UPDATE meta SET value = {left} WHERE name = 'inherited'")
        after = _count(database)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the old pages go from the log, too
    return before - after


def _inherited(database: sqlite3.Connection) -> int | None:
    """The last rowid of the results that a fork began with; None when it is no fork."""
    row = database.execute("SELECT value FROM meta WHERE name = 'inherited'").fetchone()
    if row is None:
        return None
    last = database.execute(
        "SELECT MAX(rowid) FROM (SELECT rowid FROM results ORDER BY rowid LIMIT ?)",
        (json.loads(row[0]),),
    ).fetchone()[0]
    return int(last or 0)


def _count(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT COUNT(*) FROM results").fetchone()[0])


def _rewrite(
    output: Path, marks: Collection[str], rows: set[str], also: Sequence[Path]
) -> tuple[dict[str, int], int]:
    """Write each file again without the removed rows; return the counts by file."""
    twins = {SAME_AS + row for row in rows}

    def is_gone(pair: Row) -> bool:
        return row_mark(row_of(pair)) in marks

    ids = {pair["id"] for pair in pairs_of(output) if is_gone(pair)}
    # The output comes last: of a file without provenance it alone knows whose pairs they are.
    told = {str(path): without(path, lambda row: row["id"] in ids or is_gone(row)) for path in also}
    files = {str(output): without(output, is_gone), **told}
    aside, reopened = quarantine_path(output), 0
    if aside.exists():

        def is_twin(row: Row) -> bool:
            return row["reason"] == "duplicate" and row["detail"] in twins

        reopened = sum(1 for row in set_aside(output) if is_twin(row) and not is_gone(row))
        dropped = without(aside, lambda row: is_gone(row) or is_twin(row))
        files[str(aside)] = dropped
        if dropped and not any(True for _ in rows_of(aside)):
            aside.unlink()
    return files, reopened
