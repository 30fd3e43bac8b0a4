"""Make pairs by `judge-on-policy`: of the target's answers a judge picks best and worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from clairkit.engine.program import Call, Method, Program
from clairkit.errors import UsageError
from clairkit.generation.methods.judged import ANSWER, Candidate, judge_settings, judged_pair
from clairkit.generation.methods.parts import (
    answer_call,
    make_judge,
    needed_model,
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

NAME = "judge-on-policy"


@dataclass(frozen=True)
class JudgeOnPolicy:
    """Samples `samples` answers, a row's own counted, and lets the judge choose.

    The first sample is the answer that `clair` would revise; each further one has the next seed.

    Raises:
        UsageError: the samples would all be the same.
    """

    target: Model
    judge: Judge
    sampling: Sampling
    samples: int
    thought_marks: Marks = THOUGHT_MARKS

    name = NAME

    def __post_init__(self) -> None:
        if self.sampling.temperature == 0 and not self.target.is_function:
            problem = f"{NAME} compares samples, and at temperature 0 all are the same"
            raise UsageError(problem, received=0, remedy="give a higher --temperature")

    @cached_property
    def models(self) -> Mapping[str, Model]:
        return {"target": self.target, "judge": self.judge.model}

    def settings(self) -> Mapping[str, object]:
        return {
            "method": NAME,
            "samples": self.samples,
            **marks_identity(self.thought_marks),
            **role_settings("target", self.target, self.sampling),
            **judge_settings(self.judge),
        }

    def program(self, row: PromptRow) -> Program:
        """Sample, compare."""
        candidates = []
        if row.answer is not None:
            candidates.append(
                Candidate(usable(Reply(row.answer), self.thought_marks), {"sample": 1})
            )
        numbers = range(len(candidates) + 1, self.samples + 1)
        results = yield [self._call(row, number) for number in numbers]
        candidates += (
            Candidate(usable(result.outcome, self.thought_marks), {"sample": number})
            for number, result in zip(numbers, results, strict=True)
        )
        provenance = {
            "method": NAME,
            **role_provenance("target", self.target, self.sampling),
            "samples": self.samples,
            "answer_tokens": tokens_of(*results),
        }
        return (
            yield from judged_pair(
                row, candidates, self.judge, source="judge_on_policy", provenance=provenance
            )
        )

    def _call(self, row: PromptRow, number: int) -> Call:
        sampling = replace(self.sampling, seed=self.sampling.seed + number - 1)
        step = ANSWER if number == 1 else f"{ANSWER}.{number}"
        return answer_call(row, self.target, sampling, step=step)


def make_judge_on_policy(settings: BuildSettings, models: Mapping[str, Model]) -> Method:
    """Return the method of these settings and models.

    Raises:
        UsageError: the target or the judge is missing, or the samples would all be the same.
    """
    return JudgeOnPolicy(
        target=needed_model(models, "target", NAME),
        judge=make_judge(settings, models, NAME),
        sampling=settings.answer_sampling,
        samples=settings.samples,
        thought_marks=settings.models.thought_marks,
    )
