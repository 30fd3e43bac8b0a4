"""Handle Ctrl-C and SIGTERM: the first drains a run, a second one leaves at once."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clairkit.models.budget import Budget


@contextmanager
def drain_on_signals(budget: Budget, say: Callable[[str], None]) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM drains; a second one leaves at once. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def stop(number: int) -> None:
        if budget.halted:
            if main is not None:
                main.cancel()
            return
        budget.halt(signal=number)
        say("Stopping: what is under way is waited for and kept. Once more to leave at once.")

    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, earlier[number] or signal.SIG_DFL)  # None: it was not Python's
