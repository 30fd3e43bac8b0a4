"""Compare the results of a journal with what they were when they were sealed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from clairkit.display import excerpt
from clairkit.errors import DataError
from clairkit.journal.intent import forget_intent, read_intent
from clairkit.journal.results_digest import (
    Digest,
    changed_results,
    results_digest,
    seal_results,
)
from clairkit.journal.row_index import RowIndex, faults, reading, transaction
from clairkit.records.json_types import JsonMapping, JsonObject

Entries = Sequence[JsonMapping]

START = "0" * 64
"""Stands for the line before the first one of a manifest."""

_CHANGE = "a result was changed, added or taken away after it was sealed"
_CHANGED = "sealed"  # in `meta`: the digest after a change that the manifest does not have yet


def expected_digest(database: sqlite3.Connection, entries: Entries) -> Digest | None:
    """Return what the first results must be: as the manifest says, or as a later step left them.

    None when nothing was sealed.
    """
    head = head_of(entries)
    row = database.execute("SELECT value FROM meta WHERE name = ?", (_CHANGED,)).fetchone()
    if row is not None:
        noted: JsonObject = json.loads(row[0])
        if noted.pop("head") == head:
            return noted
    return dict(entries[-1]["journal"]) if entries else None


def head_of(entries: Entries) -> str:
    """Return the hash of a manifest's last line."""
    return str(entries[-1]["hash"]) if entries else START


def note_change(database: sqlite3.Connection, head: str) -> None:
    """Note in the caller's transaction what the results are now, until the next seal.

    Args:
        database: the journal, in which results were deleted, or which is a new one.
        head: the hash of the manifest's last line, which still says what they were before.
    """
    _, found = seal_results(database, 0, anew=True)
    value = json.dumps({"head": head, **found})
    database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_CHANGED, value))


def check_results(journal: Path, entries: Entries, *, but: Collection[str] = ()) -> None:
    """Check that the results of a journal are what they were when they were sealed.

    Args:
        journal: the file.
        entries: the lines of the manifest.
        but: ids of rows whose results may be damaged, as they are to be deleted.

    Raises:
        DataError: one is not; the message names its row.
    """
    with reading(journal) as database, faults(journal):
        said = expected_digest(database, entries)
        if said is None or results_digest(database, said["results"]) == said:
            return
        raise_damage(database, journal, said, but=but)


def raise_damage(
    database: sqlite3.Connection, journal: Path, said: Digest, *, but: Collection[str] = ()
) -> None:
    """Raise the error that names what of the sealed results is damaged.

    Args:
        database: of the journal.
        journal: its path, for the error.
        said: the digest that was sealed.
        but: rows whose damage does not count.

    Raises:
        DataError: always, but when all that is damaged belongs to the rows in `but`.
    """
    changed = list(changed_results(database, said["results"]))
    (count,) = database.execute("SELECT COUNT(*) FROM results").fetchone()
    remedy = "put back the journal as it was"
    if not changed or count < said["results"]:
        raise DataError(_CHANGE, path=journal, remedy=remedy)
    names = []
    for key, step in changed:
        rows = _rows_of(database, key, step)
        if not rows or not set(rows) <= set(but):
            names.append((step, rows))
    if not names:
        return
    step, rows = names[0]
    more = f", and {len(names) - 1:,} more" if len(names) > 1 else ""
    row = rows[0] if rows else None
    if row is not None:
        remedy += f", or give the row up with `clairkit remove PAIRS --id {excerpt(row)}`"
    whose = f"of row {excerpt(row)}" if row is not None else "of no known row"
    raise DataError(f"{_CHANGE}: {excerpt(step)} {whose}{more}", path=journal, remedy=remedy)


def seal_journal(
    journal: Path, entries: Entries, *, is_removal: bool = False
) -> tuple[Digest, int]:
    """Note a digest of each result that was not sealed yet.

    Args:
        journal: the file.
        entries: the lines of the manifest so far.
        is_removal: a removal is what is being sealed.

    Returns:
        The digest over all results; how many rows a removal that was cut short still has to go.

    Raises:
        DataError: results that were sealed before are not what they were. Nothing is written.
    """
    with RowIndex(journal) as index, faults(journal):
        database = index.database
        with transaction(database):
            said = expected_digest(database, entries)
            before, found = seal_results(database, said["results"] if said else 0)
            if said is not None and before != said:
                raise_damage(database, journal, said)
            intent = read_intent(database)
            if intent.is_done and intent.rows and not is_removal:
                forget_intent(database)
        return found, 0 if is_removal else intent.pending


def _rows_of(database: sqlite3.Connection, key: str, step: str) -> list[str]:
    """The rows that asked for a result; none where its key is damaged."""
    found = database.execute(
        "SELECT row FROM asked WHERE key = ? AND step = ? ORDER BY row", (key, step)
    ).fetchall()
    return [row for (row,) in found]


def removing(journal: Path) -> int:
    """Return of how many rows a removal was cut short; 0 when there is none."""
    with reading(journal) as database, faults(journal):
        return read_intent(database).pending
