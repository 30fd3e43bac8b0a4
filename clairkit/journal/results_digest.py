"""Digest the results of a journal: all of them, and each."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from clairkit.journal.row_index import faults, reading
from clairkit.records.json_types import JsonObject

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


def journal_digest(journal: Path, first: int | None = None) -> Digest:
    """Return the number of results in a journal and a digest over them.

    Args:
        journal: the file.
        first: how many results to take, in the order in which they were written; None is all.
    """
    with reading(journal) as database, faults(journal):
        return results_digest(database, first)


def results_digest(database: sqlite3.Connection, first: int | None = None) -> Digest:
    """Return what `journal_digest` does, of a journal that is open."""
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
