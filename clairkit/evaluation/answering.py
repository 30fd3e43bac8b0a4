"""Ask a model for one answer a prompt: as a call of the engine, or a loaded model as the engine's.

An answer's randomness comes from the seed and the row's id alone, so that all models meet the same
luck and the order of prompts makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clairkit.engine.program import Call, request_key, row_columns
from clairkit.models.budget import Budget
from clairkit.models.outcomes import thoughts_apart
from clairkit.models.reasons import HALTED
from clairkit.models.requests import AnswerRequest, Model, Task
from clairkit.models.sampling import Failure, Outcome, Reply, Sampling
from clairkit.models.specs import ModelOptions, make_model
from clairkit.models.threads import in_thread
from clairkit.records import Message, PromptRow, digest
from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

ANSWER = "answer"


class Answerer(Protocol):
    """What gives answers: `clairkit.models.local.LocalModel`, or anything like it."""

    def generate(
        self, prompts: Sequence[Sequence[Message]], keys: Sequence[str], sampling: Sampling
    ) -> Sequence[Reply]: ...


class LoadedModel:
    """A model that is loaded already, as the engine asks it; it stays its owner's.

    Nothing says what its weights are: a journal of its replies must be of it alone, and end with
    the run.

    Args:
        model: answers.
        marks: of the thoughts before an answer.
    """

    is_function = False
    is_local = True
    batch_size = 64
    concurrency = 1
    name = "loaded model"

    def __init__(self, model: Answerer, marks: Marks = THOUGHT_MARKS) -> None:
        self._model = model
        self._marks = marks
        self.identity: JsonMapping = {"kind": "loaded"}

    async def complete(self, tasks: Sequence[Task], control: Budget) -> list[Outcome]:
        if not control.take(len(tasks)):
            return [Failure(HALTED)] * len(tasks)
        replies = await in_thread(
            self._model.generate,
            [task.messages for task in tasks],
            [task.seed_key for task in tasks],
            tasks[0].sampling,
        )
        return [
            thoughts_apart(reply, self._marks) if reply.thoughts is None else reply
            for reply in replies
        ]

    async def close(self) -> None:
        """Keep it: it is its owner's."""


def as_model(model: str | Answerer, options: ModelOptions | None = None) -> Model:
    """Return a spec (`hf:`, `openai:`, `python:`) or a loaded model as the engine asks it.

    Raises:
        UsageError: the spec is not valid, or names a function that is not there.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    if isinstance(model, str):
        return make_model(model, options)
    return LoadedModel(model, (options or ModelOptions()).thought_marks)


def row_key(row: PromptRow, sampling: Sampling) -> str:
    """Return what seeds a row's randomness: its id and the run's seed, and nothing else."""
    return digest([row.id, sampling.seed])


def answer_call(row: PromptRow, model: Model, sampling: Sampling, stage: int) -> Call:
    """Return the call that asks a model for its answer to a row.

    Args:
        row: the prompt, and what a function is handed beside it.
        model: who answers; its identity, the digest of its weights, is part of the key.
        sampling: of the answer.
        stage: see `clairkit.engine.program.Call`.
    """
    stream = row_key(row, sampling)
    decides = {"prompt": row.prompt, "stream": stream}
    key = request_key(ANSWER, model, decides, row=row, sampling=sampling)
    request = AnswerRequest(row.prompt, row_columns(row))
    return Call(ANSWER, stage, model, Task(key, row.prompt, request, sampling, stream))
