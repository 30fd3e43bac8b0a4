"""Asking any model for answers: a loaded one, or whatever a model spec names."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from clairkit.models.outcomes import thoughts_apart
from clairkit.models.requests import AnswerRequest, Budget, Task
from clairkit.models.sampling import Outcome, Reply, Sampling
from clairkit.models.specs import ModelOptions, make_model
from clairkit.records import Message, PromptRow, digest


class Answerer(Protocol):
    """What gives answers: `clairkit.models.local.LocalModel`, or anything like it."""

    def generate(
        self, prompts: Sequence[Sequence[Message]], keys: Sequence[str], sampling: Sampling
    ) -> Sequence[Reply]: ...


class Asker(AbstractContextManager["Asker"]):
    """Gives an outcome for each row; lets go of the model at the end of its block."""

    @abstractmethod
    def ask(self, rows: Sequence[PromptRow], sampling: Sampling) -> Sequence[Outcome]:
        """Return one outcome a row, in order."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """A loaded model stays its owner's."""


def make_asker(
    model: str | Answerer,
    options: ModelOptions | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> Asker:
    """Return what asks `model`: a spec (`hf:`, `openai:`, `python:`), or a loaded model.

    Args:
        model: the spec, or the model.
        options: how the model of a spec is run.
        say: told remarks for the user.

    Raises:
        UsageError: the spec is none, or names a function that is not there.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    if isinstance(model, str):
        return _SpecAsker(model, options, say)
    return _LoadedAsker(model, options)


def row_key(row: PromptRow, sampling: Sampling) -> str:
    """Return what seeds a row's randomness: its id and the run's seed, and nothing else."""
    return digest([row.id, sampling.seed])


class _LoadedAsker(Asker):
    def __init__(self, model: Answerer, options: ModelOptions | None) -> None:
        self._model = model
        self._marks = (options or ModelOptions()).thought_marks

    def ask(self, rows: Sequence[PromptRow], sampling: Sampling) -> Sequence[Outcome]:
        keys = [row_key(row, sampling) for row in rows]
        replies = self._model.generate([row.prompt for row in rows], keys, sampling)
        return [
            thoughts_apart(reply, self._marks) if reply.thoughts is None else reply
            for reply in replies
        ]


class _SpecAsker(Asker):
    def __init__(
        self, spec: str, options: ModelOptions | None, say: Callable[[str], None] | None
    ) -> None:
        self._model = make_model(spec, options)
        self._runner = asyncio.Runner()
        self._budget = Budget()
        if say is not None:
            self._budget.say = say

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runner.run(self._model.close())
        self._runner.close()

    def ask(self, rows: Sequence[PromptRow], sampling: Sampling) -> Sequence[Outcome]:
        tasks = [_task(row, sampling) for row in rows]
        outcomes = self._runner.run(self._run(tasks))
        return [outcomes[task.key] for task in tasks]

    async def _run(self, tasks: Sequence[Task]) -> dict[str, Outcome]:
        size = self._model.batch_size
        batches = iter([tasks[start : start + size] for start in range(0, len(tasks), size)])
        outcomes: dict[str, Outcome] = {}

        async def work() -> None:
            for batch in batches:
                made = await self._model.complete(batch, self._budget)
                outcomes.update((task.key, got) for task, got in zip(batch, made, strict=True))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._model.concurrency):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return outcomes


def _task(row: PromptRow, sampling: Sampling) -> Task:
    request = AnswerRequest(row.prompt, {"id": row.id, **row.extra})
    return Task(row_key(row, sampling), row.prompt, request, sampling)
