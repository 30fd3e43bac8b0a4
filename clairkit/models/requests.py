"""Define what is asked of a model, and what every model offers to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clairkit.models.budget import Budget
from clairkit.models.sampling import Outcome, Sampling
from clairkit.records import Message
from clairkit.records.json_types import JsonMapping

__all__ = ["AnswerRequest", "Budget", "JudgeRequest", "Model", "ReviseRequest", "Task"]


@dataclass(frozen=True)
class AnswerRequest:
    """What a `python:` target is called with: answer `prompt`."""

    prompt: tuple[Message, ...]
    """The conversation, to be continued by the assistant."""
    row: JsonMapping = field(default_factory=dict)
    """The row's `id` and all other columns of the prompt file."""


@dataclass(frozen=True)
class ReviseRequest:
    """What a `python:` reviser is called with: correct `answer` to `prompt`."""

    prompt: tuple[Message, ...]
    """The conversation that was answered."""
    answer: str
    """The target model's own answer."""
    row: JsonMapping = field(default_factory=dict)
    """The row's `id` and all other columns of the prompt file."""


@dataclass(frozen=True)
class JudgeRequest:
    """What a `python:` judge is called with: it returns "first", "second" or "tie"."""

    prompt: tuple[Message, ...]
    """The conversation that was answered."""
    first: str
    """One answer. Each two answers are judged twice, in both orders."""
    second: str
    """The other."""
    row: JsonMapping = field(default_factory=dict)
    """The row's `id` and all other columns of the prompt file."""


@dataclass(frozen=True)
class Task:
    """One row of one step: the messages for a chat model, the request for a function.

    The sample is seeded from `stream`, from the key where it is empty: several models that are
    given one stream meet the same luck.
    """

    key: str
    messages: tuple[Message, ...]
    request: AnswerRequest | ReviseRequest | JudgeRequest
    sampling: Sampling
    stream: str = ""

    @property
    def seed_key(self) -> str:
        """Return what the sample is seeded from."""
        return self.stream or self.key


class Model(Protocol):
    """A target or a reviser, wherever it runs."""

    @property
    def name(self) -> str:
        """The spec, for people."""

    @property
    def identity(self) -> JsonMapping:
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

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        """Return one outcome a task, in order.

        Calls `budget.take` before each request; what is refused is a `halted` failure.

        Raises:
            ClairError: no further row can succeed either; the run stops and can be resumed.
        """

    async def close(self) -> None:
        """Let go of connections and memory."""
