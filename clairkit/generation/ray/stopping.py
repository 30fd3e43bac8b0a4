"""Handle Ctrl-C and SIGTERM where no event loop runs in this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clairkit.models.budget import Budget


@contextmanager
def stopping(
    budget: Budget, halt: Callable[[], object], say: Callable[[str], None]
) -> Iterator[None]:
    """Drain at the first Ctrl-C or SIGTERM, leave at once at the second; in the main thread only.

    Raises:
        KeyboardInterrupt: a second signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        if budget.halted:
            raise KeyboardInterrupt
        budget.halt(signal=number)
        halt()
        say("Stopping: what is under way is waited for and kept. Once more to leave at once.")

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
