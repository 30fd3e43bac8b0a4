"""Row programs driven without an engine: what they ask, answered by a function of the test."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clairkit.engine.program import Call
from clairkit.journal.results import Recorded
from clairkit.models.budget import Budget
from clairkit.models.requests import JudgeRequest, Task
from clairkit.models.sampling import Outcome, Reply

Result = TypeVar("Result")
Say = Callable[[Call], str | Outcome]


@dataclass(frozen=True)
class Named:
    """A model that is only named in programs and never runs."""

    name: str = "openai:judge"
    is_function: bool = False
    batch_size: int = 1
    concurrency: int = 1
    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "openai", "model": "j"})

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        raise AssertionError("a program asked a model itself")

    async def close(self) -> None:
        """Nothing is held."""


def drive(
    program: Generator[Sequence[Call], Sequence[Recorded], Result], say: Say
) -> tuple[Result, list[list[Call]]]:
    """Return what a program returns, and its rounds of calls, each of which `say` answers."""
    rounds: list[list[Call]] = []
    try:
        calls = next(program)
        while True:
            rounds.append(list(calls))
            said = [say(call) for call in calls]
            outcomes = [Reply(each) if isinstance(each, str) else each for each in said]
            calls = program.send([Recorded(1, outcome) for outcome in outcomes])
    except StopIteration as end:
        return end.value, rounds


def verdict(call: Call, name: str) -> str:
    """Return a judge's mark, `A`, `B` or `tie`, with the nonce of the request."""
    (found,) = set(re.findall(r"\[\[tie:([0-9a-f]{8})\]\]", call.task.messages[0]["content"]))
    return f"[[{name}:{found}]]"


def prefers(better: Callable[[str, str], int]) -> Say:
    """Return a judge that compares texts: `better` is above 0 when the first is better."""

    def say(call: Call) -> str:
        request = call.task.request
        assert isinstance(request, JudgeRequest)
        sign = better(request.first, request.second)
        return f"They differ.\n{verdict(call, 'A' if sign > 0 else 'B' if sign < 0 else 'tie')}"

    return say


def longer(first: str, second: str) -> int:
    """The longer text is better."""
    return len(first) - len(second)
