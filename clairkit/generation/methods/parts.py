"""Share what all methods need: the target's answer, and the pair that a row becomes."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from clairkit import __version__
from clairkit.engine.program import Call, request_key, row_columns
from clairkit.errors import UsageError
from clairkit.generation.settings import BuildSettings
from clairkit.journal.results import Recorded
from clairkit.judging.judge import Judge
from clairkit.judging.rubrics import load_rubric
from clairkit.models.outcomes import usable
from clairkit.models.requests import AnswerRequest, Model, Task
from clairkit.models.sampling import Failure, Reply, Sampling
from clairkit.records import Message, Pair, PromptRow
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

_PAIR_COLUMNS = frozenset(
    ("id", "prompt", "chosen", "rejected", "rationale", "source", "scores", "provenance")
)


@dataclass(frozen=True)
class Answer:
    """An answer to a row's prompt, or why there is none; `recorded` is None for a given one."""

    outcome: Reply | Failure
    recorded: Recorded | None = None


Asking = Generator[Sequence[Call], Sequence[Recorded], Answer]


def needed_model(models: Mapping[str, Model], role: str, method: str) -> Model:
    """Return the model of a role.

    Raises:
        UsageError: it is not given.
    """
    if role not in models:
        raise UsageError(f"{method} needs a {role}", remedy=f"give --{role} SPEC")
    return models[role]


def answer_call(
    row: PromptRow, model: Model, sampling: Sampling, *, stage: int = 0, step: str = "answer"
) -> Call:
    """Return the request for a model's own answer to a row's prompt.

    Args:
        row: holds the prompt.
        model: who is asked.
        sampling: of its reply.
        stage: see `clairkit.engine.program.Call`.
        step: of the call, in the journal.
    """
    key = request_key("answer", model, {"prompt": row.prompt}, row=row, sampling=sampling)
    request = AnswerRequest(row.prompt, row_columns(row))
    return Call(step, stage, model, Task(key, row.prompt, request, sampling))


def own_answer(
    row: PromptRow, target: Model | None, sampling: Sampling, marks: Marks = THOUGHT_MARKS
) -> Asking:
    """Return the row's answer: its own, or what the target says, or why it says nothing.

    Args:
        row: with or without an answer.
        target: who is asked where there is none.
        sampling: of the target.
        marks: of the thoughts before an answer.

    Raises:
        ValueError: the row has no answer and there is no target.
    """
    if row.answer is not None:
        return Answer(usable(Reply(row.answer), marks))
    if target is None:
        raise ValueError(f"row {row.id} has no answer, and there is no target")
    (recorded,) = yield [answer_call(row, target, sampling)]
    return Answer(usable(recorded.outcome, marks), recorded)


def thoughts_of(answer: Reply | Failure, name: str = "thoughts") -> dict[str, str]:
    """Return the thoughts before an answer as a pair keeps them: nothing where there are none."""
    thoughts = answer.thoughts if isinstance(answer, Reply) else None
    return {name: thoughts} if thoughts else {}


def make_pair(
    row: PromptRow,
    *,
    chosen: str,
    rejected: str,
    source: str,
    provenance: Mapping[str, object],
    rationale: str | None = None,
) -> Pair:
    """Return the pair of a row, with the other columns of its prompt file.

    Args:
        row: of the prompt file.
        chosen: the better answer.
        rejected: the other one.
        source: how the pair was made, such as `clair`.
        provenance: what is known of its making.
        rationale: why the one is better, in the reviser's words.
    """
    taken = {name: value for name, value in row.extra.items() if name in _PAIR_COLUMNS}
    return Pair(
        prompt=row.prompt,
        chosen=(Message(role="assistant", content=chosen),),
        rejected=(Message(role="assistant", content=rejected),),
        rationale=rationale,
        source=source,
        # A pair's own columns win; what the prompt file had under their names is kept here.
        provenance={
            "clairkit": __version__,
            "row": row.id,
            **provenance,
            **({"input": taken} if taken else {}),
        },
        extra={name: value for name, value in row.extra.items() if name not in taken},
    )


def tokens_of(*results: Recorded) -> dict[str, int]:
    """Return the tokens that these results took."""
    return {
        "prompt": sum(result.outcome.prompt_tokens for result in results),
        "completion": sum(result.outcome.completion_tokens for result in results),
    }


def role_settings(role: str, model: Model, sampling: Sampling) -> dict[str, object]:
    """Return what may not change of a model from one run to the next; flat."""
    values = dict(model.identity)
    if not model.is_function:
        values |= sampling.to_json()
    return {f"{role}.{name}": value for name, value in values.items()}


def role_provenance(role: str, model: Model, sampling: Sampling) -> dict[str, object]:
    """Return what a pair says of a model that answered."""
    if model.is_function:
        return {role: dict(model.identity)}
    return {role: dict(model.identity), f"{role}_sampling": sampling.to_json()}


def make_judge(settings: BuildSettings, models: Mapping[str, Model], method: str) -> Judge:
    """Return the judge of these settings; what counts is the rubric that a reviser is given, too.

    Raises:
        UsageError: no judge is given, or it has no request in the settings' language.
        DataError: a rubric's file can't be read.
    """
    given = settings.revise
    language = settings.language if given is None else given.language
    rubric = load_rubric(None if given is None else given.rubric, language)
    model = needed_model(models, "judge", method)
    return Judge(model, settings.judge_sampling, rubric.text, language)
