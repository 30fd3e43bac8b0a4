"""Run work in a process of its own: one function once, or an object that is asked again and again.

The processes are forked from one that has imported the libraries and computed nothing, so each
starts clean and soon; one that takes too long can be ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from clairkit.bench.measure.timing import is_out_of_memory

_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class ProcessOutcome:
    """What a function returned, or why it returned nothing."""

    value: Any = None  # of whatever type the function has
    problem: str = ""
    out_of_memory: bool = False
    late: bool = False  # it took too long


def attempt(task: Callable[..., object], *arguments: object) -> ProcessOutcome:
    try:
        return ProcessOutcome(task(*arguments))
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> ProcessOutcome:
    text = f"{type(error).__name__}: {error}"
    return ProcessOutcome(problem=text, out_of_memory=is_out_of_memory(error))


class WorkerProcess:
    """A process that runs `serve(connection, *arguments)`, whose messages `answer` returns.

    Args:
        serve: a function of an importable module, `serve_object` for one; it sends outcomes.
        *arguments: of `serve`; can be pickled.
        preload: modules to import in the process that all are forked from; read once.
    """

    def __init__(
        self, serve: Callable[..., None], *arguments: object, preload: Sequence[str] = ()
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *preload])
        self.connection, theirs = context.Pipe()
        # No daemon: compilers start processes of their own.
        self._process = context.Process(target=_begin, args=(theirs, serve, arguments))
        self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: object) -> None:
        """Have a method called; `answer` tells what it returned."""
        with suppress(OSError):  # where the process has ended, the answer says so
            self.connection.send((method, arguments))

    def answer(self, seconds: float | None) -> ProcessOutcome | None:
        """Return the next outcome; None when there is none within the seconds (None: for ever)."""
        if not self.connection.poll(None if seconds is None else max(seconds, 0)):
            return None
        try:
            outcome: ProcessOutcome = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            outcome = _ended(self._process.exitcode)
        return outcome

    def dismiss(self) -> None:
        """Let the process end by itself, once it waits for what to do; ask it no more."""
        self.connection.close()

    def end(self, grace: float = 0) -> None:
        """Kill the process and those that it has started.

        Args:
            grace: seconds that one which was dismissed has to end by itself.
        """
        self._process.join(grace)
        with suppress(OSError, TypeError):
            os.killpg(self._process.pid, signal.SIGKILL)  # type: ignore[arg-type]  # None: TypeError
        self._process.kill()
        self._process.join()
        self.connection.close()


def run_apart(
    task: Callable[..., object],
    *arguments: object,
    preload: Sequence[str] = (),
    seconds: float | None = None,
) -> ProcessOutcome:
    """Return the outcome of task(*arguments), run in a process of its own.

    Args:
        task: a function of an importable module; its result can be pickled.
        *arguments: can be pickled.
        preload: as `WorkerProcess` has it.
        seconds: after which it is ended; None: never.
    """
    worker = WorkerProcess(_serve_once, task, arguments, preload=preload)
    try:
        outcome = worker.answer(seconds)
        if outcome is None:
            return ProcessOutcome(problem=f"not done after {seconds:.0f} s", late=True)
        worker.dismiss()
        worker.end(_GRACE_SECONDS)  # it tidies up what libraries of its own have left
        return outcome
    finally:
        worker.end()


def serve_object(connection: Connection, make: Callable[..., object], *arguments: object) -> None:
    """Call methods of make(*arguments) as they are asked for; the first outcome is the making's."""
    made: list[object] = []
    connection.send(attempt(lambda: made.append(make(*arguments))))
    while made:
        method, given = connection.recv()
        connection.send(attempt(getattr(made[0], method), *given))


def _serve_once(
    connection: Connection, task: Callable[..., object], arguments: Sequence[object]
) -> None:
    connection.send(attempt(task, *arguments))


def _ended(code: int | None) -> ProcessOutcome:
    """Return what the exit code of a process says that sent no outcome."""
    if code == -signal.SIGKILL:
        return ProcessOutcome(
            problem="killed by the system, most likely out of memory", out_of_memory=True
        )
    return ProcessOutcome(problem=f"the process ended with code {code}")


def _begin(connection: Connection, serve: Callable[..., None], arguments: Sequence[object]) -> None:
    """Make this process one that its parent reports on and ends, then serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # stdout is for the result of the command
    with suppress(OSError):  # where memory ends, this process shall go, not the one that reports
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # nobody listens any more
        serve(connection, *arguments)


def _end_with_parent() -> None:
    """Kill this process and those that it has started once the parent has ended, however it did."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)
