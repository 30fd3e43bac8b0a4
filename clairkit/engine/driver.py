"""Run row programs with calls of models, up to the end or until the run is stopped."""

from __future__ import annotations

import asyncio
import signal
import threading
from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from clairkit.engine.progress import Progress, ProgressHook
from clairkit.engine.replay import Result, Work
from clairkit.engine.scheduler import Scheduler
from clairkit.journal.results import Journal
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


def run_works(
    works: Iterable[Work[Result]],
    journal: Journal,
    budget: Budget,
    *,
    progress: ProgressHook | None = None,
    say: Callable[[str], None] | None = None,
    total: int | None = None,
) -> None:
    """Make all calls that the programs ask and the journal has no result of.

    Blocks until all is done or the run is stopped: then `budget` says why. Works where an event
    loop runs already, as in a notebook. Each result is on the disk before anything is made of it.
    The models are closed at the end.

    Args:
        works: makers of programs; read as far as needed.
        journal: where results are looked up and recorded.
        budget: the run's caps, and its cause of stopping.
        progress: called after each result.
        say: told remarks for the user.
        total: how many works there are, for the progress.

    Raises:
        KeyboardInterrupt: a second signal came.
    """
    hook = progress or quiet
    if say is not None:
        budget.say = say

    async def run() -> None:
        with drain_on_signals(budget, say or quiet):
            await Scheduler(journal, budget, Progress(total), hook).run(works)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        try:
            asyncio.run(run())
        except asyncio.CancelledError:  # by the second Ctrl-C
            raise KeyboardInterrupt from None
        return
    _run_beside(run, budget)


def _run_beside(run: Callable[[], Coroutine[object, None, None]], budget: Budget) -> None:
    """Run in a thread, as a loop runs here already. Ctrl-C reaches this thread only.

    Raises:
        KeyboardInterrupt: by the second Ctrl-C; the first one drains.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(run())  # made here, so that no Ctrl-C comes before it

    def stop() -> None:
        if budget.halted:
            task.cancel()
        else:
            budget.halt(signal=signal.SIGINT)

    async def ended() -> None:
        await task

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(ended())

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        while True:
            try:
                done.result()
                return
            except CancelledError:
                raise KeyboardInterrupt from None
            except KeyboardInterrupt:
                if done.done():  # it came out of the run
                    raise
                with suppress(RuntimeError):  # the loop was closed meanwhile: all is done
                    loop.call_soon_threadsafe(stop)


def quiet(_: object) -> None:
    """Say nothing."""
