"""Runs where a loop runs already."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

import pytest

from clairkit.engine.driver import run_works
from clairkit.engine.program import Call
from clairkit.journal.results import Journal, Recorded
from clairkit.models.budget import Budget
from clairkit.models.requests import AnswerRequest, Task
from clairkit.models.sampling import Outcome, Reply, Sampling


class Slow:
    """A model that answers once the run is halted, or does not within a minute."""

    name, identity = "slow", {"kind": "slow"}
    is_function, batch_size, concurrency = True, 1, 2

    def __init__(self, *, drains: bool) -> None:
        self.drains = drains
        self.made = 0
        self.begun = 0
        self.all_asked = threading.Event()

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        self.begun += 1
        if self.begun == self.concurrency:
            self.all_asked.set()
        for _ in range(6000):
            if self.drains and budget.halted:
                break
            await asyncio.sleep(0.01)
        self.made += len(tasks)
        return [Reply("x") for _ in tasks]

    async def close(self) -> None:
        """Nothing is held."""


def program(model: Slow, row: int) -> Generator[Sequence[Call], Sequence[Recorded], str]:
    task = Task(f"{row}", (), AnswerRequest(()), Sampling())
    (result,) = yield [Call("answer", 0, model, task)]
    return result.outcome.text


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_reaches_a_run_beside_a_loop(tmp_path: Path, times: int) -> None:
    """As in a notebook: the first drains, the second leaves at once."""
    slow = Slow(drains=times == 1)
    budget, journal = Budget(), Journal(tmp_path / "pairs.jsonl")
    main = threading.get_ident()

    def interrupt() -> None:
        slow.all_asked.wait(60)
        signal.pthread_kill(main, signal.SIGINT)
        if times == 2:
            while not budget.halted:
                time.sleep(0.01)
            signal.pthread_kill(main, signal.SIGINT)

    async def notebook() -> None:
        threading.Thread(target=interrupt, daemon=True).start()
        run_works([partial(program, slow, row) for row in range(50)], journal, budget)

    loop = asyncio.new_event_loop()  # asyncio.run would take Ctrl-C itself
    try:
        if times == 1:
            loop.run_until_complete(notebook())
            assert slow.made == journal.usage().results == 2
        else:
            with pytest.raises(KeyboardInterrupt):
                loop.run_until_complete(notebook())
    finally:
        loop.close()
        journal.close()
    assert budget.signal == signal.SIGINT
    assert (slow.made == 0) == (times == 2)  # nobody waited for the calls of the second
