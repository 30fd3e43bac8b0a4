"""Drives row programs: over the journal alone (`replay`), or with calls of models (`run_works`)."""

from __future__ import annotations

import asyncio
import signal
from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from clairkit.generation.journal import Journal, Recorded
from clairkit.generation.program import Call
from clairkit.generation.progress import Progress, ProgressHook
from clairkit.generation.reasons import reason
from clairkit.generation.requests import Control
from clairkit.generation.sampling import Failure
from clairkit.generation.signals import drain_on_signals

Result = TypeVar("Result")
Work = Callable[[], Generator[Sequence[Call], Sequence[Recorded], Result]]
"""Makes a program anew each time; `functools.partial(method.program, row)` is one."""


@dataclass(frozen=True)
class Open:
    """A program that is not done: what it asks and the journal has no result of."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Trace(Generic[Result]):
    """What became of a program, and each call that led there with its result."""

    result: Result | Open
    steps: tuple[tuple[Call, Recorded], ...]


def replay(work: Work[Result], journal: Journal, *, ask_again: bool = False) -> Result | Open:
    """Return what a program returns over the journal, or what it still asks.

    Args:
        work: makes the program.
        journal: has the results.
        ask_again: count failures that may pass (`Reason.again`) as not there, as a run that is
            resumed does. The files of a run count them as results.
    """
    return trace(work, journal, ask_again=ask_again).result


def trace(work: Work[Result], journal: Journal, *, ask_again: bool = False) -> Trace[Result]:
    """Replay a program as `replay` does, and return the steps that it took, too."""
    program = work()
    steps: list[tuple[Call, Recorded]] = []
    try:
        calls = next(program)
        while True:
            found = [known(journal, call, ask_again=ask_again) for call in calls]
            results = [result for result in found if result is not None]
            if len(results) < len(found):
                round_ = list(zip(calls, found, strict=True))
                steps += [(call, got) for call, got in round_ if got is not None]
                missing = tuple(call for call, got in round_ if got is None)
                return Trace(Open(missing), tuple(steps))
            steps += zip(calls, results, strict=True)
            calls = program.send(results)
    except StopIteration as end:
        return Trace(end.value, tuple(steps))
    finally:
        program.close()


def known(journal: Journal, call: Call, *, ask_again: bool) -> Recorded | None:
    """Return the newest result of a call, if it counts."""
    found = journal.latest(call.task.key, call.step)
    if found is None or not ask_again or not isinstance(found.outcome, Failure):
        return found
    return None if reason(found.outcome.reason).again else found


def run_works(
    works: Iterable[Work[Result]],
    journal: Journal,
    control: Control,
    *,
    progress: ProgressHook | None = None,
    say: Callable[[str], None] | None = None,
    total: int | None = None,
) -> None:
    """Make all calls that the programs ask and the journal has no result of.

    Blocks until all is done or the run is stopped: then `control` says why. Works where an event
    loop runs already, as in a notebook. Each result is on the disk before anything is made of it.
    The models are closed at the end.

    Args:
        works: makers of programs; read as far as needed.
        journal: where results are looked up and recorded.
        control: the run's caps, and its cause of stopping.
        progress: called after each result.
        say: told remarks for the user.
        total: how many works there are, for the progress.
    """
    hook = progress or _quiet
    if say is not None:
        control.say = say

    async def run() -> None:
        from clairkit.generation.scheduler import Scheduler

        with drain_on_signals(control, say or _quiet):
            await Scheduler(journal, control, Progress(total), hook).run(works)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        try:
            asyncio.run(run())
        except asyncio.CancelledError:  # by the second Ctrl-C
            raise KeyboardInterrupt from None
        return
    _run_beside(run, control)


def _run_beside(run: Callable[[], Coroutine[Any, Any, None]], control: Control) -> None:
    """Run in a thread, as a loop runs here already. Ctrl-C reaches this thread only.

    Raises:
        KeyboardInterrupt: by the second Ctrl-C; the first one drains.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(run())  # made here, so that no Ctrl-C comes before it

    def stop() -> None:
        if control.halted:
            task.cancel()
        else:
            control.halt(signal=signal.SIGINT)

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


def _quiet(_: object) -> None:
    """Say nothing."""
