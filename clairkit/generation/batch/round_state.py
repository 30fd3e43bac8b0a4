"""Step through a program over results that are there, without a driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from clairkit.engine.program import Call
from clairkit.engine.replay import Work
from clairkit.journal.results import Recorded

Find = Callable[[Call], Recorded | None]
"""Returns the result of a call; None when there is none."""


def rounds(work: Work[object], find: Find) -> Iterator[list[tuple[Call, Recorded | None]]]:
    """Yield the calls of each round with their results, the first round that lacks one included."""
    program = work()
    try:
        calls = next(program)
        while True:
            found = [(call, find(call)) for call in calls]
            yield found
            results = [result for _, result in found if result is not None]
            if len(results) < len(found):
                return
            calls = program.send(results)
    except StopIteration:
        return
    finally:
        program.close()
