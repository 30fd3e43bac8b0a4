"""Checks: a user's function that says whether an answer is right."""

from __future__ import annotations

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
    name = f"{getattr(check, '__module__', '')}:{getattr(check, '__qualname__', 'check')}"
    value = measured(check, name, row, answer, "check")
    if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
        raise UsageError(
            f"the check gave no answer in [0, 1] on row {excerpt(row.id)}",
            received=excerpt(repr(value)),
            remedy="return True, False, or a number from 0 to 1",
        )
    return float(value)


def measured(
    function: Callable[..., Any], name: str, row: PromptRow, answer: str, what: str
) -> Any:
    """Return what a user's function says of an answer, a number of numpy or torch as Python's own.

    Args:
        function: called with the prompt's messages, the answer, and the row as a mapping.
        name: of the function, for errors.
        row: that was answered.
        answer: without thoughts.
        what: it is, in errors: "check" or "program".

    Raises:
        UsageError: it fails.
    """
    given = ([dict(message) for message in row.prompt], answer, row.to_json())
    try:
        return call(name, _plain, function, given)
    except UserCodeEnded:
        raise
    except Exception as error:
        problem = f"the {what} failed on row {excerpt(row.id)} ({described(error, 160)})"
        raise UsageError(problem, received=name, remedy=f"correct the {what}") from error


def _plain(function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    value = function(*given)
    return value.item() if hasattr(value, "item") and not isinstance(value, Mapping) else value
