"""Reserve stdout for a command's results while it runs.

What else is printed, by a library, a user's function or a program it starts, goes to stderr, so
that `--json` stays one object whatever runs beside it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_results: TextIO | None = None
_messages: TextIO | None = None
_owns_process = False


def results() -> TextIO:
    """Return the stream of results: the real stdout."""
    return sys.stdout if _results is None else _results


def messages() -> TextIO:
    """Return the stream of all else: the real stderr, even when user code closed `sys.stderr`."""
    return sys.stderr if _messages is None else _messages


def own_process() -> None:
    """Say that this process is the command's own: its descriptors may be redirected for good."""
    global _owns_process
    _owns_process = True


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Keep stdout for `results` while the block runs; `print` then writes to stderr.

    In a process of our own descriptor 1 is redirected as well, and stays so: what C code or a
    child has in its buffers may be written as late as the end of the process.
    """
    global _results
    if _owns_process:
        _redirect_descriptors()
        yield
        return
    outer, stdout = _results, sys.stdout
    _results, sys.stdout = results(), sys.stderr
    try:
        yield
    finally:
        _results, sys.stdout = outer, stdout


def _redirect_descriptors() -> None:
    global _results, _messages
    if _results is not None:
        return
    with suppress(OSError, io.UnsupportedOperation):
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = _duplicate(sys.stdout, 1), _duplicate(sys.stderr, 2)
        os.dup2(2, 1)
        _results, _messages = out, err
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _duplicate(stream: TextIO, number: int) -> TextIO:
    return os.fdopen(os.dup(number), "w", encoding=stream.encoding, errors="backslashreplace")
