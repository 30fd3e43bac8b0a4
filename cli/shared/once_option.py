"""Make options that are given once: a second value would replace the first silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.decorators import FC

if TYPE_CHECKING:
    from clairkit.records.json_types import JsonObject


def once(*names: str, **attributes: Any) -> Callable[[FC], FC]:
    """Return a `click.option` that refuses a second value; None when it is not given."""
    return click.option(*names, **only_once(), **attributes)


def only_once() -> JsonObject:
    """Return what makes an option refuse a second value, as attributes of it."""
    return {"multiple": True, "callback": _only}


def _only(context: click.Context, parameter: click.Parameter, values: Sequence[object]) -> object:
    if len(values) > 1:
        given = " and ".join(str(value) for value in values)
        problem = f"takes one value, and was given {given}. Run the command once for each."
        raise click.BadParameter(problem, ctx=context, param=parameter)
    return values[0] if values else None
