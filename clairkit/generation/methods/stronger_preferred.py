"""Make pairs by `stronger-preferred`: a stronger model's answer before the target's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from clairkit.engine.program import Method, Program, Quarantined
from clairkit.generation.gates import DEFAULTS, GatePolicy, check
from clairkit.generation.methods.judged import ANSWER
from clairkit.generation.methods.parts import (
    answer_call,
    make_pair,
    needed_model,
    own_answer,
    role_provenance,
    role_settings,
    thoughts_of,
    tokens_of,
)
from clairkit.generation.revision.parser import Revision
from clairkit.generation.settings import BuildSettings
from clairkit.models.outcomes import marks_identity, usable
from clairkit.models.requests import Model
from clairkit.models.sampling import Failure, Sampling
from clairkit.records import PromptRow
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

NAME = "stronger-preferred"
STRONGER = "stronger"
_FITTING = frozenset({"no_op", "refusal", "marker_leak", "language_change", "truncated"})


@dataclass(frozen=True)
class StrongerPreferred:
    """Nobody judges: the stronger model's answer is taken to be the better one.

    Attributes:
        target: answers the rows that have no answer; None when all have one.
        stronger: the model in the reviser's place; here it answers the prompt itself.
        target_sampling: of the target's answers.
        stronger_sampling: of the stronger model's.
        gates: what is done with a stronger answer that refuses, say.
        thought_marks: of the thoughts before an answer.
    """

    target: Model | None
    stronger: Model
    target_sampling: Sampling
    stronger_sampling: Sampling
    gates: GatePolicy
    thought_marks: Marks = THOUGHT_MARKS

    name = NAME

    @cached_property
    def models(self) -> Mapping[str, Model]:
        return {**({"target": self.target} if self.target else {}), "reviser": self.stronger}

    def settings(self) -> Mapping[str, object]:
        actions = {f"gate.{reason}": self.gates.actions[reason] for reason in sorted(_FITTING)}
        flat: dict[str, object] = {"method": NAME, **actions, **marks_identity(self.thought_marks)}
        if self.target is not None:
            flat |= role_settings("target", self.target, self.target_sampling)
        return flat | role_settings("reviser", self.stronger, self.stronger_sampling)

    def program(self, row: PromptRow) -> Program:
        """Answer, let the stronger model answer, check."""
        own = yield from own_answer(row, self.target, self.target_sampling, self.thought_marks)
        if isinstance(own.outcome, Failure):
            return Quarantined(row, ANSWER, row.answer, own.outcome)
        answer = own.outcome.text
        (recorded,) = yield [
            answer_call(row, self.stronger, self.stronger_sampling, step=STRONGER, stage=1)
        ]
        better = usable(recorded.outcome, self.thought_marks)
        if isinstance(better, Failure):
            return Quarantined(row, STRONGER, answer, better)
        verdict = check(row.prompt, answer, Revision(better.text), policy=self.gates)
        if verdict.failure is not None:
            return Quarantined(row, STRONGER, answer, verdict.failure)
        provenance = {
            "method": NAME,
            **role_provenance("reviser", self.stronger, self.stronger_sampling),
            "tokens": tokens_of(recorded),
            **thoughts_of(own.outcome, "answer_thoughts"),
            **thoughts_of(better, "reviser_thoughts"),
            **({"flags": [flag.to_json() for flag in verdict.flags]} if verdict.flags else {}),
        }
        if own.recorded is not None and self.target is not None:
            provenance |= role_provenance("target", self.target, self.target_sampling)
            provenance["answer_tokens"] = tokens_of(own.recorded)
        return make_pair(
            row,
            chosen=better.text,
            rejected=answer,
            source="stronger_preferred",
            provenance=provenance,
        )


def make_stronger_preferred(settings: BuildSettings, models: Mapping[str, Model]) -> Method:
    """Return the method of these settings and models.

    Raises:
        UsageError: the reviser, here the stronger model, is missing.
    """
    policy = settings.gates or GatePolicy()
    # Without the gates that compare a revision with what it revises.
    fitting = {
        reason: policy.actions[reason] if reason in _FITTING else "keep" for reason in DEFAULTS
    }
    return StrongerPreferred(
        target=models.get("target"),
        stronger=needed_model(models, "reviser", NAME),
        target_sampling=settings.answer_sampling,
        stronger_sampling=settings.revise_sampling,
        gates=GatePolicy(fitting),
        thought_marks=settings.models.thought_marks,
    )
