"""Keep the journal: every result of a run, on the disk before anything is made of it.

A SQLite file beside the output, one row per (key, step, attempt). The exported files are made from
it and can be made again at any time.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import ResourceError, UsageError
from clairkit.journal.database import faults, read_meta, write_meta
from clairkit.journal.group_commit import GroupCommit, OnDisk
from clairkit.models.sampling import Failure, FinishReason, Outcome, Reply
from clairkit.records.json_types import JsonMapping
from clairkit.records.lock import lock_output

SCHEMA_VERSION = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    key TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    reason TEXT, detail TEXT, text TEXT NOT NULL, rationale TEXT, finish_reason TEXT,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, tries INTEGER NOT NULL,
    model TEXT NOT NULL, created TEXT NOT NULL,
    PRIMARY KEY (key, step, attempt)
);
"""
# Added to the table of a journal of before, and of a new one likewise: both have one definition.
_ADDED = {"thoughts": "TEXT", "seconds": "REAL"}
_INSERT = """
INSERT INTO results (key, step, attempt, reason, detail, text, rationale, finish_reason,
    prompt_tokens, completion_tokens, tries, model, created, thoughts, seconds)
SELECT ?, ?, 1 + COALESCE(MAX(attempt), 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
FROM results WHERE key = ? AND step = ?
"""
_OUTCOME = (
    "reason, detail, text, rationale, finish_reason, prompt_tokens, completion_tokens, tries, "
    "thoughts, seconds"
)
_LATEST = f"""
SELECT attempt, {_OUTCOME}
FROM results WHERE key = ? AND step = ? ORDER BY attempt DESC LIMIT 1
"""
_AFTER = f"SELECT key, step, model, {_OUTCOME} FROM results ORDER BY rowid LIMIT -1 OFFSET ?"
_USAGE = """
SELECT model, SUM(tries), SUM(prompt_tokens), SUM(completion_tokens), COUNT(*),
       SUM(reason IS NULL OR prompt_tokens + completion_tokens > 0)
FROM (SELECT model, reason, tries, prompt_tokens, completion_tokens FROM results
      ORDER BY rowid LIMIT -1 OFFSET ?)
GROUP BY model ORDER BY model
"""


@dataclass(frozen=True)
class JournalEntry:
    """One result to be recorded."""

    key: str
    step: str
    model: str
    outcome: Outcome


@dataclass(frozen=True)
class Recorded:
    """A result as the journal has it."""

    attempt: int
    outcome: Outcome


@dataclass(frozen=True)
class Usage:
    """What all recorded results took."""

    calls: int = 0
    """Requests, those that were made again included."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    results: int = 0
    costing: int = 0
    """Of the results: replies, and failures that took tokens; what a call costs is their mean."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.results + other.results,
            self.costing + other.costing,
        )


class Journal:
    """Opens, or makes, the journal of an output and holds its lock until `close`.

    Args:
        output: the exported file that the journal belongs to.

    Raises:
        UsageError: another process works on this output, or a later version made the journal.
        DataError: the file is not a journal.
        ResourceError: the disk is full, read-only, or not ours to write.
    """

    def __init__(self, output: Path) -> None:
        self.path = journal_path(output)
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{output.parent}: can't be made ({error.strerror})") from None
        self._held = ExitStack()  # in the order of their opening: lock, connections
        self._held.enter_context(lock_output(output))
        self._commits: GroupCommit[JournalEntry] = GroupCommit(
            lambda entries: self._insert(entries), lambda: self._commit()
        )
        try:
            with faults(self.path):
                self._database = self._connect()
                self._open()
                self._reader = self._connect()  # does not wait for a commit that is under way
        except BaseException:
            self._held.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        # Used by one thread after another, never by two at once.
        made = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._held.callback(made.close)
        return made

    def _open(self) -> None:
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("PRAGMA secure_delete=ON")  # what is replaced is overwritten
        create_tables(self._database)
        found = self.meta("schema_version")
        if found is None:
            self.set_meta("schema_version", SCHEMA_VERSION)
        elif found > SCHEMA_VERSION:
            raise UsageError(
                f"{self.path} was made by a later version of clairkit",
                received=found,
                remedy="update clairkit",
            )

    def close(self) -> None:
        """Close the file and let go of the lock."""
        self._commits.close()
        self._held.close()

    def meta(self, name: str) -> Any:
        """Return a setting of the journal; None when it has none of that name."""
        with faults(self.path):
            return read_meta(self._database, name)

    def set_meta(self, name: str, value: object) -> None:
        """Set a setting of the journal."""
        with faults(self.path):
            write_meta(self._database, name, value)

    def settle(self, settings: JsonMapping, *, force: bool) -> None:
        """Check that the run's settings are those of the journal, or make them so.

        Raises:
            UsageError: they differ and `force` is not given; the message has each difference.
        """
        earlier = self.meta("settings")
        if earlier is not None and not force:
            changes = differences(earlier, settings)
            if changes:
                raise UsageError(
                    "this output was begun with other settings: " + "; ".join(changes),
                    remedy="give the earlier ones or another output; --force goes on with the "
                    "new ones, and asks again only for what they change",
                )
        self.set_meta("settings", settings)

    def latest(self, key: str, step: str) -> Recorded | None:
        """Return the newest result of a row's step."""
        with faults(self.path):
            row = self._reader.execute(_LATEST, (key, step)).fetchone()
        return None if row is None else Recorded(row[0], _outcome(*row[1:]))

    def entries_after(self, count: int) -> tuple[JournalEntry, ...]:
        """Return the results without the first `count`, in the order in which they came."""
        with faults(self.path):
            rows = self._reader.execute(_AFTER, (count,)).fetchall()
        return tuple(
            JournalEntry(key, step, model, _outcome(*said)) for key, step, model, *said in rows
        )

    def usage(self) -> Usage:
        """Return what all results so far took."""
        return sum(self.usage_by_model().values(), Usage())

    def usage_by_model(self) -> dict[str, Usage]:
        """Return what all results so far took, by the model's spec; a fork's first ones are not
        its own.
        """
        with faults(self.path):
            rows = self._database.execute(_USAGE, (self.meta("inherited") or 0,)).fetchall()
        return {model: Usage(*spent) for model, *spent in rows}

    def submit(self, entry: JournalEntry, on_disk: OnDisk) -> asyncio.Future[None]:
        """Have a result brought to the disk, in a thread; see `GroupCommit.submit`."""
        return self._commits.submit(entry, on_disk)

    def write(self, entries: Sequence[JournalEntry]) -> None:
        """Bring results to the disk at once, all or none."""
        self._insert(entries)
        self._commit()

    def _insert(self, entries: Sequence[JournalEntry]) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with faults(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(_INSERT, [_values(entry, now) for entry in entries])
            except BaseException:
                self._database.rollback()
                raise

    def _commit(self) -> None:
        with faults(self.path):
            try:
                self._database.execute("COMMIT")
            except BaseException:
                self._database.rollback()
                raise


def create_tables(database: sqlite3.Connection) -> None:
    """Make the tables and columns of a journal that are not there."""
    database.executescript(_TABLES)
    columns = database.execute("SELECT name FROM pragma_table_info('results')").fetchall()
    for name, kind in _ADDED.items():
        if (name,) not in columns:
            database.execute(f"ALTER TABLE results ADD COLUMN {name} {kind}")


def journal_path(output: Path) -> Path:
    """Return where the journal of an output stands."""
    return output.with_name(f"{output.name}.journal.sqlite")


def differences(earlier: JsonMapping, later: JsonMapping) -> list[str]:
    """Return each field in which two settings differ, as `field: earlier -> later`."""
    return [
        f"{name}: {_shown(earlier.get(name))} -> {_shown(later.get(name))}"
        for name in sorted({*earlier, *later})
        if earlier.get(name) != later.get(name)
    ]


def _shown(value: object) -> str:
    return excerpt(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _outcome(
    code: str | None,
    detail: str | None,
    text: str,
    rationale: str | None,
    finish: FinishReason,
    prompt: int,
    completion: int,
    tries: int,
    thoughts: str | None,
    seconds: float | None,
) -> Outcome:
    if code is not None:
        return Failure(code, detail or "", text, prompt, completion, tries, seconds)
    return Reply(text, finish, prompt, completion, (), rationale, tries, thoughts, seconds)


def _values(entry: JournalEntry, now: str) -> tuple[object, ...]:
    outcome = entry.outcome
    spent = (outcome.prompt_tokens, outcome.completion_tokens, outcome.tries)
    said: tuple[str | None, ...] = (None, None, outcome.text)
    if isinstance(outcome, Reply):
        said, thoughts = (*said, outcome.rationale, outcome.finish_reason), outcome.thoughts
    else:
        said, thoughts = (outcome.reason, outcome.detail, outcome.text, None, None), None
    named = (entry.key, entry.step)
    return (*named, *said, *spent, entry.model, now, thoughts, outcome.seconds, *named)
