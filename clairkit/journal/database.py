"""Open a journal's SQLite file: errors as ours, whole transactions, settings as JSON."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from clairkit.errors import DataError, ResourceError


@contextmanager
def reading(journal: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal for reading only, as `faults` does; a run may be writing to it meanwhile.

    Raises:
        DataError: it is missing, no journal, or was never brought to its end.
    """
    if not journal.is_file():
        raise DataError(
            "there is no journal", path=journal, remedy="name a pair file that build-pairs wrote"
        )
    with faults(journal), closing(_opened(journal)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if "results" not in tables:
            raise DataError("is not a journal of clairkit", path=journal)
        if not {"rows", "asked", "removed"} <= tables:
            raise DataError(
                "the journal does not say which row asked what",
                path=journal,
                remedy="run build-pairs on it once more",
            )
        yield database


def _opened(journal: Path) -> sqlite3.Connection:
    """A connection that only reads; where the folder is read-only, it expects no writer."""
    address = journal.resolve().as_uri()
    # One that may write tidies up behind itself.
    for mode in ("mode=rw", "mode=ro", "immutable=1"):
        database = sqlite3.connect(f"{address}?{mode}", uri=True, isolation_level=None)
        try:
            database.execute("PRAGMA query_only = ON")
            database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            database.close()
            if mode == "immutable=1":
                raise
        else:
            return database
    raise AssertionError("unreachable")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Write all that the block writes, or none of it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        database.rollback()
        raise


@contextmanager
def faults(journal: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Raises:
        DataError: the journal is damaged.
        ResourceError: the disk, its permissions or another process prevent its use.
    """
    damage = "the journal is damaged"
    try:
        yield
        return
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            remedy = "free the disk, or check its permissions; what was recorded is kept"
            if "locked" in str(error):
                remedy = "let the process end that reads or writes it (a backup, sqlite3)"
            problem = f"{journal}: the journal can't be used ({error})"
            raise ResourceError(problem, remedy=remedy) from None
        damage += ": a text is not UTF-8"  # a bit of it was flipped
    except json.JSONDecodeError:
        damage += ": a value is not JSON"
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # a bug of ours, not the file's fault
            raise
        damage = f"is not a journal of clairkit, or damaged ({error})"
    raise DataError(damage, path=journal, remedy="put back the file as it was")


def read_meta(database: sqlite3.Connection, name: str) -> Any:
    """Return a setting of a journal; None when it has none of that name."""
    row = database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def write_meta(database: sqlite3.Connection, name: str, value: object) -> None:
    """Set a setting of a journal, in the caller's transaction if there is one."""
    text = json.dumps(value, sort_keys=True)
    database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, text))


def count_results(database: sqlite3.Connection) -> int:
    """Return how many results a journal has."""
    return int(database.execute("SELECT COUNT(*) FROM results").fetchone()[0])
