"""Define errors and exit codes: each says what was wrong, what was received, and what to do.

The library raises these; the command line turns them once into a message and an exit code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import ClassVar


class ClairError(Exception):
    """Base of all errors that a user can cause or cure.

    Args:
        problem: what was wrong, a sentence without a final full stop.
        received: the value that caused it, already safe to show.
        remedy: what to do about it, in the imperative.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, problem: str, *, received: object | None = None, remedy: str | None = None
    ) -> None:
        self.problem = problem
        self.received = received
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.problem
        if self.received is not None:
            text = f"{_open(text)}: received {self.received!r}"
        if self.remedy is not None:
            text = _open(text)
            stop = "" if text.endswith(("?", "!")) else "."
            text += f"{stop} {self.remedy[:1].upper()}{self.remedy[1:]}"
        return text


def _open(text: str) -> str:
    """Return a part that more follows without the mark that it ends with: a library's reason."""
    return text.rstrip(" \t\n.:;,")


class UsageError(ClairError):
    """A flag, a configuration key or a call was wrong."""

    exit_code = 2


class DataError(ClairError):
    """Input data was wrong; carries the place as `file:line`."""

    exit_code = 3

    def __init__(
        self,
        problem: str,
        *,
        path: str | os.PathLike[str] | None = None,
        line: int | None = None,
        received: object | None = None,
        remedy: str | None = None,
    ) -> None:
        self.path = None if path is None else os.fspath(path)
        self.line = line
        super().__init__(problem, received=received, remedy=remedy)

    def __str__(self) -> str:
        place = self.path or ""
        if self.line is not None:
            place += f":{self.line}"
        text = super().__str__()
        return f"{place}: {text}" if place else text


class PartialError(ClairError):
    """Part of the work was done and kept; the rest was not."""

    exit_code = 4


class ResourceError(ClairError):
    """Memory, disk, a device, a file permission or a checkpoint was unavailable."""

    exit_code = 5


class RemoteError(ClairError):
    """A remote model failed, refused the credentials, or a budget ran out."""

    exit_code = 6


class GateError(ClairError):
    """A quality gate was not passed."""

    exit_code = 7


class EvidenceError(ClairError):
    """More evidence is needed before a decision can be given."""

    exit_code = 8


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like `name`; None where none is like it."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def suggest(
    name: str, known: Iterable[str], *, cutoff: float = 0.6, shown: Callable[[str], str] = str
) -> str:
    """Return "did you mean …? " to begin a remedy with; "" where no known name is near.

    Args:
        name: that was given.
        known: that would have been right.
        cutoff: see `nearest`.
        shown: how the near name is written, such as `repr`.
    """
    near = nearest(name, known, cutoff=cutoff)
    return f"did you mean {shown(near)}? " if near is not None else ""
