"""What a process does to the disk, counted, and the moment at which it fails or is killed."""

from __future__ import annotations

import builtins
import errno
import functools
import io
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAMES = ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir")
_TAKE_ROOM = ("open", "write", "fsync", "rename", "replace", "mkdir", "commit")


@dataclass(frozen=True)
class Moment:
    """The `count`-th time that a run does something of this kind; any kind when None.

    Then the process is killed; or, with an `error`, the call fails. A disk that is full (ENOSPC)
    stays full, any other error comes once.
    """

    count: int
    kind: str | None = None
    error: int | None = None


class Clock:
    """Counts what a run does, by kind, and acts when the moment has come."""

    def __init__(self, moment: Moment | None) -> None:
        self.moment = moment
        self.seen: list[str] = []
        self._is_full = False

    def due(self, kind: str) -> bool:
        """Note one more of this kind; return whether the moment has come."""
        self.seen.append(kind)
        if self.moment is None:
            return False
        if self._is_full:
            return kind in _TAKE_ROOM
        wanted = self.moment.kind
        count = len(self.seen) if wanted is None else self.seen.count(kind)
        is_due = wanted in (None, kind) and count == self.moment.count
        if is_due and self.moment.error == errno.ENOSPC:
            self._is_full = True
            return kind in _TAKE_ROOM
        return is_due

    def tick(self, kind: str) -> None:
        """Note one more of this kind, and act if the moment has come."""
        if self.due(kind):
            self.act()

    def act(self) -> None:
        """Die, or fail."""
        code = self.moment.error if self.moment else None
        if code is None:
            die()
        raise OSError(code, os.strerror(code))

    def before(self, owner: Any, name: str, kind: str) -> None:
        """Let `owner.name` be something that the clock counts; the process acts before it."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.tick(kind)
            return original(*args, **kwargs)

        setattr(owner, name, counted)

    def half_written(self, owner: Any, name: str, kind: str, place: int) -> None:
        """Count `owner.name`, which writes the file that is its argument at `place`.

        The process acts when half of the file is written.
        """
        original = getattr(owner, name)

        @functools.wraps(original)
        def counted(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if self.due(kind):
                os.truncate(args[place], Path(args[place]).stat().st_size // 2)
                self.act()
            return result

        setattr(owner, name, counted)


def die() -> None:
    """Leave as kill -9 does: no `finally`, no buffer flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def watch_disk(clock: Clock) -> None:
    """Count all that this process asks of the disk from Python: calls, writes, commits."""
    for name in _NAMES:
        clock.before(os, name, name)
    _watch_open(clock)
    _watch_files(clock)
    _watch_databases(clock)


def _watch_open(clock: Clock) -> None:
    original = os.open

    @functools.wraps(original)
    def opened(path: Any, flags: int, *args: Any, **options: Any) -> int:
        clock.tick("open" if flags & os.O_CREAT else "look")
        return original(path, flags, *args, **options)

    os.open = opened


def _watch_files(clock: Clock) -> None:
    original = io.open

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            if clock.due("write"):
                super().write(memoryview(data)[: len(data) // 2])  # torn
                clock.act()
            return super().write(data)

    def opened(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any) -> Any:
        is_plain = set(mode) & set("wxa+") and not isinstance(file, int) and buffering
        if not is_plain or options.keys() & {"opener", "closefd"}:
            return original(file, mode, buffering, *args, **options)
        clock.tick("open")
        raw = Raw(file, mode.replace("b", "").replace("t", ""))
        kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
        buffered: Any = kind(raw)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, *args, line_buffering=buffering == 1, **options)
        text.mode = mode  # type: ignore[misc]  # as `open` does
        return text

    io.open = builtins.open = opened


def _watch_databases(clock: Clock) -> None:
    def fail(code: int) -> sqlite3.OperationalError:
        full = code == errno.ENOSPC
        return sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")

    def counted(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def execute(self: sqlite3.Connection, sql: str, *args: Any) -> Any:
            word = sql.split(None, 1)[0].upper()
            is_write = word in ("INSERT", "UPDATE", "DELETE", "CREATE") and not self.in_transaction
            if is_write or word in ("COMMIT", "VACUUM") or "wal_checkpoint" in sql:
                try:
                    clock.tick("commit")
                except OSError as error:
                    raise fail(error.errno or 0) from None
            return run(self, sql, *args)

        return execute

    class Watched(sqlite3.Connection):
        execute = counted(sqlite3.Connection.execute)
        executemany = counted(sqlite3.Connection.executemany)
        executescript = counted(sqlite3.Connection.executescript)

    original = sqlite3.connect
    sqlite3.connect = functools.partial(original, factory=Watched)  # type: ignore[assignment]
