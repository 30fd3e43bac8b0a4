"""Make pairs by `clair`: the reviser minimally revises the target's own answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from clairkit.engine.program import NO_MORE, Program, Quarantined
from clairkit.generation.gates import GatePolicy, Verdict, check
from clairkit.generation.methods.parts import (
    Answer,
    make_pair,
    needed_model,
    own_answer,
    role_provenance,
    role_settings,
    thoughts_of,
    tokens_of,
)
from clairkit.generation.revision.revise import Revised, revise
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.generation.settings import BuildSettings
from clairkit.models.outcomes import marks_identity
from clairkit.models.requests import Model
from clairkit.models.sampling import Failure, Sampling
from clairkit.records import PromptRow
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

NAME = "clair"


@dataclass(frozen=True)
class Clair:
    """The pair of a row is its answer, and that answer revised.

    `target` is None when every row has an answer.
    """

    target: Model | None
    reviser: Model
    answer_sampling: Sampling
    revise_sampling: Sampling
    revise: ReviseSettings
    gates: GatePolicy
    thought_marks: Marks = THOUGHT_MARKS

    name = NAME

    @cached_property
    def models(self) -> Mapping[str, Model]:
        target = {} if self.target is None else {"target": self.target}
        return {**target, "reviser": self.reviser}

    def settings(self) -> Mapping[str, object]:
        revise = self.revise.settings(for_function=self.reviser.is_function)
        flat: dict[str, object] = {
            "method": NAME,
            **revise,
            **self.gates.settings(),
            **marks_identity(self.thought_marks),
        }
        if self.target is not None:
            flat |= role_settings("target", self.target, self.answer_sampling)
        return flat | role_settings("reviser", self.reviser, self.revise_sampling)

    def program(self, row: PromptRow) -> Program:
        """Answer, revise, check."""
        answer = yield from own_answer(row, self.target, self.answer_sampling, self.thought_marks)
        if isinstance(answer.outcome, Failure):
            return Quarantined(row, "answer", row.answer, answer.outcome)
        text = answer.outcome.text
        revised = yield from revise(
            row, text, reviser=self.reviser, settings=self.revise, sampling=self.revise_sampling
        )
        found = revised.revision
        if isinstance(found, Failure):
            return Quarantined(row, "revise", text, found)
        yield NO_MORE
        verdict = check(row.prompt, text, found, policy=self.gates)
        if verdict.failure is not None:
            return Quarantined(row, "revise", text, verdict.failure)
        chosen, rejected = (text, found.text) if self.revise.worsen else (found.text, text)
        return make_pair(
            row,
            chosen=chosen,
            rejected=rejected,
            rationale=found.rationale,
            source="clair",
            provenance={
                **self._shared,
                **({} if answer.recorded is None else self._of_target),
                **_own(answer, revised, verdict),
            },
        )

    @cached_property
    def _shared(self) -> Mapping[str, object]:
        """Return what all pairs of a run say of their making."""
        return {
            "method": NAME,
            **role_provenance("reviser", self.reviser, self.revise_sampling),
            **self.revise.provenance(for_function=self.reviser.is_function),
        }

    @cached_property
    def _of_target(self) -> Mapping[str, object]:
        """Return what a pair says of the model that gave its answer."""
        if self.target is None:
            return {}
        return role_provenance("target", self.target, self.answer_sampling)


def _own(answer: Answer, revised: Revised, verdict: Verdict) -> dict[str, object]:
    """Return what a pair says of its own row."""
    own: dict[str, object] = {
        "tokens": tokens_of(*revised.recorded),
        **thoughts_of(answer.outcome, "answer_thoughts"),
    }
    if answer.recorded is not None:
        own["answer_tokens"] = tokens_of(answer.recorded)
    if verdict.flags:
        own["flags"] = [flag.to_json() for flag in verdict.flags]
    if revised.edits:
        own["edits"] = [edit.to_json() for edit in revised.edits]
    return own


def make_clair(settings: BuildSettings, models: Mapping[str, Model]) -> Clair:
    """Return the method of these settings and models.

    Raises:
        UsageError: there is no reviser, or a setting has no effect with a function.
    """
    reviser, asking = needed_model(models, "reviser", NAME), settings.revise_settings()
    asking.check_reviser(reviser)
    return Clair(
        target=models.get("target"),
        reviser=reviser,
        answer_sampling=settings.answer_sampling,
        revise_sampling=settings.revise_sampling,
        revise=asking,
        gates=settings.gates or GatePolicy(),
        thought_marks=settings.models.thought_marks,
    )
