"""Refuse options of `clairkit build-pairs` that have no effect with the method."""

from __future__ import annotations

import click
from click.core import ParameterSource

_JUDGED = frozenset(("--rubric", "--language"))
_REVISED = frozenset(
    (
        *_JUDGED,
        "--revision",
        "--template",
        "--length-neutral",
        "--worsen",
        "--max-edit-share",
        "--gate",
    )
)
_TAKEN = {
    "clair": _REVISED,
    "judge-on-policy": _JUDGED | {"--samples"},
    "judge-off-policy": _JUDGED,
    "stronger-preferred": frozenset(("--gate",)),
}
_ANY = frozenset().union(*_TAKEN.values())


def check_method_options(context: click.Context, method: str) -> None:
    """Refuse options of the command line that shape pairs, and not those of this method.

    Models may be named for all methods, and so may anything in the file of `--config`: one file
    serves all four.

    Raises:
        UsageError: such an option is given.
    """
    from clairkit.errors import UsageError

    given = [
        option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    ]
    dropped = [flag for flag in given if flag in _ANY - _TAKEN[method]]
    if dropped:
        has = "have" if len(dropped) > 1 else "has"
        raise UsageError(
            f"{', '.join(dropped)} {has} no effect with {method}",
            remedy="leave it out, or choose another --method",
        )
