"""Run a function in a process of its own and learn how that ended.

The processes are forked from one that has imported the libraries and computed nothing, so each
starts clean and soon.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from clairkit.bench.measure.timing import is_out_of_memory

_GRACE_SECONDS = 2


@dataclass(frozen=True)
class ProcessOutcome:
    """What a function returned, or why it returned nothing."""

    value: Any = None
    problem: str = ""
    out_of_memory: bool = False
    late: bool = False  # it took too long


def attempt(task: Callable[..., Any], *arguments: Any) -> ProcessOutcome:
    """Return the outcome of task(*arguments)."""
    try:
        return ProcessOutcome(task(*arguments))
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return ProcessOutcome(problem=text, out_of_memory=is_out_of_memory(error))


def run_apart(
    task: Callable[..., Any],
    *arguments: Any,
    preload: Sequence[str] = (),
    seconds: float | None = None,
) -> ProcessOutcome:
    """Return the outcome of task(*arguments), run in a process of its own.

    Args:
        task: a function of an importable module; its result can be pickled.
        *arguments: can be pickled.
        preload: modules to import in the process that all of these are forked from; heeded once.
        seconds: after which it is ended; None: never.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *preload])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, task, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            return ProcessOutcome(problem=f"not done after {seconds:.0f} s", late=True)
        outcome: ProcessOutcome = ours.recv()
        process.join(_GRACE_SECONDS)  # it tidies up what libraries of its own have left
    except EOFError:
        process.join()
        outcome = ended(process.exitcode)
    finally:
        process.kill()
        process.join()
        ours.close()
    return outcome


def ended(code: int | None) -> ProcessOutcome:
    """Return what the exit code of a process says that sent no outcome."""
    if code == -signal.SIGKILL:
        return ProcessOutcome(
            problem="killed by the system, most likely out of memory", out_of_memory=True
        )
    return ProcessOutcome(problem=f"the process ended with code {code}")


def settle_in() -> None:
    """Make this process one that its parent reports on and ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # stdout is for the result of the command
    with suppress(OSError):  # where memory ends, this process shall go, not the one that reports
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _work(connection: Connection, task: Callable[..., Any], arguments: Sequence[Any]) -> None:
    settle_in()
    connection.send(attempt(task, *arguments))
    connection.close()
