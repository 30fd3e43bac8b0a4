"""Name the models of a method as its settings and its pairs do."""

from __future__ import annotations

from collections.abc import Mapping

from clairkit.generation.methods.parts import needed_model
from clairkit.generation.settings import BuildSettings
from clairkit.judging.judge import Judge
from clairkit.judging.rubrics import load_rubric
from clairkit.models.requests import Model
from clairkit.models.sampling import Sampling


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
