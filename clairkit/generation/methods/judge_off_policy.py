"""Make pairs by `judge-off-policy`: of other models' answers a judge picks best and worst."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from clairkit.display import excerpt
from clairkit.engine.program import Method, Program
from clairkit.errors import DataError, UsageError, suggest
from clairkit.generation.methods.judged import ANSWER, Candidate, judge_settings, judged_pair
from clairkit.generation.methods.parts import (
    answer_call,
    make_judge,
    role_provenance,
    role_settings,
    tokens_of,
)
from clairkit.generation.settings import BuildSettings
from clairkit.judging.judge import Judge
from clairkit.models.outcomes import marks_identity, usable
from clairkit.models.requests import Model
from clairkit.models.sampling import Reply, Sampling
from clairkit.records import PromptRow
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

NAME = "judge-off-policy"
_ANSWER = "answer"  # the one column of answers that is none of the row's other columns


@dataclass(frozen=True)
class JudgeOffPolicy:
    """Lets other models answer, takes the answers that the prompt file has of them, or both.

    Attributes:
        judge: who chooses.
        columns: columns of the prompt file that hold answers; an empty cell is left out.
        answering: the models that are asked, by role: `candidate.1`, …
        sampling: of their answers.
        thought_marks: of the thoughts before an answer.
    """

    judge: Judge
    columns: Sequence[str]
    answering: Mapping[str, Model]
    sampling: Sampling
    thought_marks: Marks = THOUGHT_MARKS

    name = NAME

    @cached_property
    def models(self) -> Mapping[str, Model]:
        return {**self.answering, "judge": self.judge.model}

    def settings(self) -> Mapping[str, object]:
        flat: dict[str, object] = {
            "method": NAME,
            "columns": list(self.columns),
            **marks_identity(self.thought_marks),
        }
        for role, model in self.answering.items():
            flat |= role_settings(role, model, self.sampling)
        return {**flat, **judge_settings(self.judge)}

    def program(self, row: PromptRow) -> Program:
        """Return the program of a row: collect, ask, compare."""
        given = list(self._given(row))
        roles = list(self.answering)
        calls = [
            answer_call(
                row, self.answering[role], self.sampling, step=f"{ANSWER}.{role}", stage=place
            )
            for place, role in enumerate(roles)
        ]
        results = (yield calls) if calls else ()
        answered = [
            Candidate(usable(result.outcome, self.thought_marks), {"role": role})
            for role, result in zip(roles, results, strict=True)
        ]
        provenance: dict[str, object] = {"method": NAME, "answer_tokens": tokens_of(*results)}
        for role, model in self.answering.items():
            provenance |= role_provenance(role, model, self.sampling)
        return (
            yield from judged_pair(
                row,
                [*given, *answered],
                self.judge,
                source="judge_off_policy",
                provenance=provenance,
                stage=len(roles),
            )
        )

    def check_row(self, row: PromptRow) -> None:
        """Look at a row before anything is paid for.

        Raises:
            DataError: it lacks a column of answers, or holds no text there.
        """
        for _ in self._given(row):
            pass

    def _given(self, row: PromptRow) -> Iterator[Candidate]:
        for column in self.columns:
            if column != _ANSWER and column not in row.extra:
                raise _no_column(row, column)
            text = row.answer if column == _ANSWER else row.extra[column]
            if text is None or text == "":
                continue
            if not isinstance(text, str):
                raise DataError(
                    f"row {excerpt(row.id)}: column {column!r} holds no text",
                    received=type(text).__name__,
                )
            yield Candidate(usable(Reply(text), self.thought_marks), {"column": column})


def _no_column(row: PromptRow, column: str) -> DataError:
    there = sorted([*row.extra, *([_ANSWER] if row.answer is not None else [])])
    names = ", ".join(map(excerpt, there)) or "none"
    return DataError(
        f"row {excerpt(row.id)} has no column of answers of that name",
        received=column,
        remedy=f"{suggest(column, there, shown=excerpt)}It has: {names}",
    )


def make_judge_off_policy(settings: BuildSettings, models: Mapping[str, Model]) -> Method:
    """Return the method of these settings and models.

    The n-th of `settings.candidates` is a model when `models` has the role `candidate.n`, else a
    column of the prompt file.

    Raises:
        UsageError: there is no judge, or fewer than two candidates.
    """
    names = settings.candidates
    if len(names) < 2:
        raise UsageError(
            f"{NAME} chooses between two candidates or more",
            received=len(names),
            remedy="give --candidates twice or more: a SPEC or a column",
        )
    roles = [f"candidate.{number}" for number in range(1, len(names) + 1)]
    return JudgeOffPolicy(
        judge=make_judge(settings, models, NAME),
        columns=[name for name, role in zip(names, roles, strict=True) if role not in models],
        answering={role: models[role] for role in roles if role in models},
        sampling=settings.answer_sampling,
        thought_marks=settings.models.thought_marks,
    )
