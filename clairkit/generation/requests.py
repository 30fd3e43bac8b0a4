"""What is asked of a model, and what every model offers to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from clairkit.errors import ClairError
from clairkit.generation.sampling import Outcome, Sampling
from clairkit.records import Message


@dataclass(frozen=True)
class AnswerRequest:
    """What a `python:` target is called with: answer `prompt`."""

    prompt: tuple[Message, ...]
    """The conversation, to be continued by the assistant."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """The row's `id` and all other columns of the prompt file."""


@dataclass(frozen=True)
class ReviseRequest:
    """What a `python:` reviser is called with: correct `answer` to `prompt`."""

    prompt: tuple[Message, ...]
    """The conversation that was answered."""
    answer: str
    """The target model's own answer."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """The row's `id` and all other columns of the prompt file."""


@dataclass(frozen=True)
class Task:
    """One row of one step: the messages for a chat model, the request for a function."""

    key: str
    messages: tuple[Message, ...]
    request: AnswerRequest | ReviseRequest
    sampling: Sampling


class Control:
    """What the running calls share: when to stop, and how many calls may still be made.

    Args:
        max_calls: the most calls in all; None is no limit.
        calls: how many an earlier part of the run made.
    """

    def __init__(self, max_calls: int | None = None, calls: int = 0) -> None:
        self.calls = calls
        self.error: ClairError | None = None
        self.signal: int | None = None
        self.over_budget = False
        self._max_calls = max_calls
        self._halted = asyncio.Event()

    @property
    def halted(self) -> bool:
        return self._halted.is_set()

    def halt(self, *, error: ClairError | None = None, signal: int | None = None) -> None:
        """Let what is in flight end, and start nothing more. The first cause is kept."""
        if not self.halted:
            self.error, self.signal = error, signal
        self._halted.set()

    def take(self, count: int = 1) -> bool:
        """Claim `count` calls; False when the run stops, or would go over its limit."""
        if self.halted:
            return False
        if self._max_calls is not None and self.calls + count > self._max_calls:
            self.over_budget = True
            self.halt()
            return False
        self.calls += count
        return True

    async def sleep(self, seconds: float) -> bool:
        """Wait; False when the run stopped in the meantime."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._halted.wait(), seconds)
        return not self.halted


class Model(Protocol):
    """A target or a reviser, wherever it runs."""

    @property
    def name(self) -> str:
        """The spec, for people."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What determines its results besides the request; part of every key."""

    @property
    def is_function(self) -> bool:
        """Whether it is handed the request and returns the result itself, without a template."""

    @property
    def batch_size(self) -> int:
        """How many rows one call of `complete` should get."""

    @property
    def concurrency(self) -> int:
        """How many calls of `complete` may run at once."""

    async def complete(self, tasks: Sequence[Task], control: Control) -> list[Outcome]:
        """Return one outcome a task, in order.

        Calls `control.take` before each request; what is refused is a `halted` failure.

        Raises:
            ClairError: no further row can succeed either; the run stops and can be resumed.
        """

    async def close(self) -> None:
        """Let go of connections and memory."""
