"""Replay row programs over the journal alone: what they return, or what they still ask."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from clairkit.engine.program import Call
from clairkit.journal.results import Journal, Recorded
from clairkit.models.reasons import reason
from clairkit.models.sampling import Failure

Result = TypeVar("Result")
Work = Callable[[], Generator[Sequence[Call], Sequence[Recorded], Result]]
"""Makes a program anew each time; `functools.partial(method.program, row)` is one."""

Find = Callable[[Call], Recorded | None]
"""Returns the result of a call; None when there is none."""


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
    walk = rounds(work, partial(known, journal, ask_again=ask_again))
    steps: list[tuple[Call, Recorded]] = []
    while True:
        try:
            steps += [(call, got) for call, got in next(walk) if got is not None]
        except StopIteration as end:
            return Trace(end.value, tuple(steps))


def rounds(
    work: Work[Result], find: Find
) -> Generator[list[tuple[Call, Recorded | None]], None, Result | Open]:
    """Yield the calls of each round with their results, the first round that lacks one included.

    Returns what the program returns, or what it still asks.
    """
    program = work()
    try:
        calls = next(program)
        while True:
            found = [(call, find(call)) for call in calls]
            yield found
            results = [got for _, got in found if got is not None]
            if len(results) < len(found):
                return Open(tuple(call for call, got in found if got is None))
            calls = program.send(results)
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        program.close()


def known(journal: Journal, call: Call, *, ask_again: bool) -> Recorded | None:
    """Return the newest result of a call, if it counts."""
    found = journal.latest(call.task.key, call.step)
    if found is None or not ask_again or not isinstance(found.outcome, Failure):
        return found
    return None if reason(found.outcome.reason).again else found
