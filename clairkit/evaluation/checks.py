"""Checks: a user's function that says whether an answer is right."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import UsageError
from clairkit.records import PromptRow
from clairkit.user_code import UserCodeEnded, call, described, load_function

Check = Callable[..., bool | float]
"""(prompt messages, answer text, row mapping) -> right or not, or a score in [0, 1]."""


def load_check(spec: str) -> Check:
    """Return the function named by `python:PACKAGE:FUNCTION`; modules of the current folder count.

    Raises:
        UsageError: the form is another, or there is no such module or function.
    """
    kind, _, place = spec.partition(":")
    if kind != "python":
        remedy = "write python:PACKAGE:FUNCTION, for instance python:mychecks:is_exact"
        raise UsageError("a check is a Python function", received=spec, remedy=remedy)
    check: Check = load_function(place)
    return check


def score_answer(check: Check, row: PromptRow, answer: str) -> float:
    """Return what `check` says of an answer, in [0, 1]; right is 1 and wrong is 0.

    Raises:
        UsageError: the check fails, or returns neither a bool nor a number in [0, 1].
    """
    given = ([dict(message) for message in row.prompt], answer, row.to_json())
    name = f"{getattr(check, '__module__', '')}:{getattr(check, '__qualname__', 'check')}"
    try:
        number, shown = call(name, _scored, check, given)
    except UserCodeEnded:
        raise
    except Exception as error:
        problem = f"the check failed on row {excerpt(row.id)} ({described(error, 160)})"
        raise UsageError(problem, remedy="correct the check function") from error
    if number is None:
        raise UsageError(
            f"the check gave no answer in [0, 1] on row {excerpt(row.id)}",
            received=shown,
            remedy="return True, False, or a number from 0 to 1",
        )
    return float(number)


def _scored(check: Check, given: tuple[Any, ...]) -> tuple[float | None, str]:
    """Return the score that `check` gives and what it returned, as shown in an error."""
    value = check(*given)
    number = _number(value)
    return number, "" if number is not None else excerpt(repr(value))


def _number(value: Any) -> float | None:
    if hasattr(value, "item") and not isinstance(value, Mapping):
        value = value.item()  # a number of numpy or torch
    if not isinstance(value, bool | int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) and 0 <= number <= 1 else None
