"""Make a row a pair by one of four methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clairkit.engine.program import Method
from clairkit.errors import UsageError, suggest
from clairkit.generation.methods.clair import make_clair
from clairkit.generation.methods.judge_off_policy import JudgeOffPolicy, make_judge_off_policy
from clairkit.generation.methods.judge_on_policy import make_judge_on_policy
from clairkit.generation.methods.stronger_preferred import make_stronger_preferred
from clairkit.generation.settings import BuildSettings
from clairkit.models.requests import Model
from clairkit.records import PromptRow

MakeMethod = Callable[[BuildSettings, Mapping[str, Model]], Method]

METHODS: dict[str, MakeMethod] = {
    "clair": make_clair,
    "judge-on-policy": make_judge_on_policy,
    "judge-off-policy": make_judge_off_policy,
    "stronger-preferred": make_stronger_preferred,
}
"""By the name that `--method` takes."""
_ON_OWN_ANSWER = frozenset(("clair", "stronger-preferred"))


def make_method(name: str, settings: BuildSettings, models: Mapping[str, Model]) -> Method:
    """Return the method of that name.

    Raises:
        UsageError: there is no such method, or it lacks a model.
    """
    if name not in METHODS:
        remedy = f"{suggest(name, METHODS)}Use {', '.join(METHODS)}"
        raise UsageError("no such method", received=name, remedy=remedy)
    return METHODS[name](settings, models)


def check_row(method: Method, row: PromptRow) -> None:
    """Look at a prompt row before anything is paid for.

    Raises:
        DataError: the method can't use it.
    """
    if isinstance(method, JudgeOffPolicy):
        method.check_row(row)


def needs_answers(method: Method) -> bool:
    """Return whether every row must have an answer: one that is built on, and no target's."""
    return method.name in _ON_OWN_ANSWER and "target" not in method.models
