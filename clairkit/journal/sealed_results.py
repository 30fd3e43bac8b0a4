"""Compare the results of a journal with what they were when they were sealed."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from clairkit.display import counted, excerpt
from clairkit.errors import DataError
from clairkit.journal.database import (
    count_results,
    faults,
    read_meta,
    reading,
    transaction,
    write_meta,
)
from clairkit.journal.intent import forget_intent, read_intent
from clairkit.journal.results import journal_path
from clairkit.journal.row_index import RowIndex
from clairkit.records.json_types import JsonMapping, JsonObject

# The order in which they are hashed. A column of a later version follows with its name, where it
# holds something: what was sealed before it came keeps its digest.
_COLUMNS = (
    "key",
    "step",
    "attempt",
    "reason",
    "detail",
    "text",
    "rationale",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "tries",
    "model",
    "created",
)
_KEPT = 16  # bytes of the digest of one result
_WRITE = "INSERT OR REPLACE INTO sealed VALUES (?, ?)"
_ROWS_A_WRITE = 10_000

Digest = JsonObject
"""How many `results`, and the `sha256` over them."""

Entries = Sequence[JsonMapping]
START = "0" * 64
"""Stands for the line before the first one of a manifest."""
_CHANGE = "a result was changed, added or taken away after it was sealed"
_CHANGED = "sealed"  # in `meta`: the digest after a change that the manifest does not have yet


def results_digest(database: sqlite3.Connection, first: int | None = None) -> Digest:
    """Return the number of results in a journal and a digest over them.

    `first` says how many to take, in the order in which they were written; None is all.
    """
    sha, count = hashlib.sha256(), 0
    with closing(_packed(database)) as results:
        for packed in islice(results, first):
            count += 1
            sha.update(packed)
    return {"results": count, "sha256": sha.hexdigest()}


def seal_results(
    database: sqlite3.Connection, first: int, *, anew: bool = False
) -> tuple[Digest, Digest]:
    """Note a digest of each result, in the caller's transaction.

    Args:
        database: a journal that is open for writing, with the tables of `RowIndex`.
        first: how many results were sealed before.
        anew: replace the digests that are there, after results were deleted.

    Returns:
        The digest over the first ones, and over all.
    """
    if anew:
        database.execute("DELETE FROM sealed")
    (noted,) = database.execute("SELECT COUNT(*) FROM sealed").fetchone()
    sha, count = hashlib.sha256(), 0
    before = {"results": 0, "sha256": sha.hexdigest()}
    waiting: list[tuple[int, bytes]] = []
    with closing(_packed(database)) as results:
        for packed in results:
            sha.update(packed)
            if count >= noted:
                waiting.append((count, _short(packed)))
            count += 1
            if count == first:
                before = {"results": count, "sha256": sha.hexdigest()}
            if len(waiting) == _ROWS_A_WRITE:
                database.executemany(_WRITE, waiting)
                waiting.clear()
    database.executemany(_WRITE, waiting)
    found = {"results": count, "sha256": sha.hexdigest()}
    return (found if count < first else before), found


def changed_results(database: sqlite3.Connection, first: int) -> Iterator[tuple[str, str]]:
    """Yield (key, step) of each of the first results that is not what was noted of it."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'sealed'").fetchone():
        return
    noted = dict(database.execute("SELECT place, digest FROM sealed").fetchall())
    with closing(_packed(database)) as results:
        changed = [
            place
            for place, packed in enumerate(islice(results, first))
            if place in noted and noted[place] != _short(packed)
        ]
    yield from (_texts(database, place) for place in changed)


def _texts(database: sqlite3.Connection, place: int) -> tuple[str, str]:
    row = database.execute(
        "SELECT CAST(key AS BLOB), CAST(step AS BLOB) FROM results ORDER BY rowid LIMIT 1 OFFSET ?",
        (place,),
    ).fetchone()
    key, step = (bytes(value).decode(errors="replace") for value in row)
    return key, step


def _packed(database: sqlite3.Connection) -> Generator[bytes, None, None]:
    """Yield the bytes that are hashed of each result, in the order in which they were written."""
    there = [name for (name,) in database.execute("SELECT name FROM pragma_table_info('results')")]
    known = [name for name in _COLUMNS if name in there]
    later = sorted(set(there) - set(known))
    names = ", ".join(f'"{name}"' for name in (*known, *later))
    split, marks = len(known), [name.encode() + b"=" for name in later]
    factory, database.text_factory = database.text_factory, bytes  # a flipped bit: no UTF-8
    try:
        for row in database.execute(f"SELECT {names} FROM results ORDER BY rowid"):
            parts = [_value(value) for value in row[:split]]
            if marks:
                more = zip(marks, row[split:], strict=True)
                parts += [mark + _value(value) for mark, value in more if value is not None]
            yield b"".join(parts)
    finally:
        database.text_factory = factory


def _value(value: object) -> bytes:
    """Kind and length first: no two rows give the same bytes."""
    if isinstance(value, bytes):
        return b"str%d:%s" % (len(value), value)
    if value is None:
        return b"NoneType0:"
    text = str(value).encode()
    return b"%s%d:%s" % (type(value).__name__.encode(), len(text), text)


def _short(packed: bytes) -> bytes:
    return hashlib.sha256(packed).digest()[:_KEPT]


def expected_digest(database: sqlite3.Connection, entries: Entries) -> Digest | None:
    """Return what the first results must be: as the manifest says, or as a later step left them.

    None when nothing was sealed.
    """
    head = head_of(entries)
    noted: JsonObject | None = read_meta(database, _CHANGED)
    if noted is not None and noted.pop("head") == head:
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
    write_meta(database, _CHANGED, {"head": head, **found})


def check_results(journal: Path, entries: Entries, *, but: Collection[str] = ()) -> None:
    """Check that the results of a journal are what they were when they were sealed.

    Raises:
        DataError: one is not; the message names its row.
    """
    with reading(journal) as database:
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
    remedy = "put back the journal as it was"
    if not changed or count_results(database) < said["results"]:
        raise DataError(_CHANGE, path=journal, remedy=remedy)
    names = []
    for key, step in changed:
        asked = "SELECT row FROM asked WHERE key = ? AND step = ? ORDER BY row"
        rows = [row for (row,) in database.execute(asked, (key, step))]  # none: damaged
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


def removing(output: Path) -> int:
    """Return of how many rows a removal was cut short; 0 when there is none."""
    with reading(journal_path(output)) as database:
        return read_intent(database).pending


def check_removed(output: Path) -> None:
    """Refuse an output of which a removal was cut short.

    Raises:
        DataError: it was.
    """
    if pending := removing(output):
        raise DataError(
            f"a removal of {counted(pending, 'row')} was cut short",
            path=output,
            remedy="give the same `clairkit remove` again first",
        )
