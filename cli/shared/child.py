"""Run another command of ours in a process of its own, and share the signals with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from clairkit.cli.shared.streams import messages, results


def run_child(words: Sequence[str], folder: Path, *, as_json: bool, quiet: bool) -> int:
    """Run `clairkit WORDS` in a folder and return its exit code, 128 + N for signal N.

    It is a process of its own, so that what it held is free afterwards, and a kill of either leaves
    what its journal has. It has our terminal: its progress is seen, and Ctrl-C reaches it; we wait
    until it has drained. What is sent to us alone is passed on.

    Args:
        words: of the command.
        folder: where it runs.
        as_json: whether stdout is for our own result: the command's goes to stderr then.
        quiet: whether it prints no progress either.
    """
    command = [sys.executable, "-P", "-m", "clairkit.cli", *words, *(["--quiet"] if quiet else [])]
    with (
        subprocess.Popen(
            command, cwd=folder, stdout=(messages() if as_json else results()).fileno()
        ) as process,
        _passing_on(process),
    ):
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _passing_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGINT and _has_terminal():
            return  # the terminal sends it to both
        with suppress(ProcessLookupError):
            process.send_signal(number)

    before: dict[int, Callable[..., object] | int | None] = {
        number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    with suppress(OSError, ValueError):
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    return False
