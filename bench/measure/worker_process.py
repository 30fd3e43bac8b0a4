"""An object in a process of its own, which calls the object's methods when it is asked to.

Unlike `isolate.run_apart` the process stays, and one that takes too long can be ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from clairkit.bench.measure.isolate import ProcessOutcome, attempt, ended, settle_in


class WorkerProcess:
    """A process that makes `make(*arguments)`; its first answer says how that went.

    Args:
        make: a class or function of an importable module; its arguments can be pickled.
        *arguments: of `make`.
        preload: as `run_apart` has it.
    """

    def __init__(
        self, make: Callable[..., Any], *arguments: Any, preload: Sequence[str] = ()
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["clairkit.bench.measure.isolate", *preload])
        self.connection, theirs = context.Pipe()
        # No daemon: compilers start processes of their own.
        self._process = context.Process(target=_serve, args=(theirs, make, arguments))
        self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> None:
        """Have a method called; `answer` tells what it returned."""
        with suppress(OSError):  # where the process has ended, the answer says so
            self.connection.send((method, arguments))

    def answer(self, seconds: float) -> ProcessOutcome | None:
        """Return the next outcome; None when there is none within the seconds."""
        if not self.connection.poll(max(seconds, 0)):
            return None
        try:
            outcome: ProcessOutcome = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            outcome = ended(self._process.exitcode)
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
            os.killpg(self._process.pid, signal.SIGKILL)  # type: ignore[arg-type]
        self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(connection: Connection, make: Callable[..., Any], arguments: Sequence[Any]) -> None:
    settle_in()
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    made: list[Any] = []
    with suppress(EOFError, OSError):  # nobody listens any more
        connection.send(attempt(lambda: made.append(make(*arguments))))
        while made:
            method, given = connection.recv()
            connection.send(attempt(getattr(made[0], method), *given))


def _end_with_parent() -> None:
    """Kill this process and those that it has started once the parent has ended, however it did."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)
