"""Handle Ctrl-C and SIGTERM where no event loop runs in this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clairkit.models.budget import Budget


@contextmanager
def stopping(
    control: Budget, halt: Callable[[], object], say: Callable[[str], None]
) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM drains; a second one leaves at once. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        if control.halted:
            raise KeyboardInterrupt
        control.halt(signal=number)
        halt()
        say("Stopping: what is under way is waited for and kept. Once more to leave at once.")

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
