"""Define the options that say which column of a foreign file is what."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import click
from click.decorators import FC

from clairkit.records.json_types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from clairkit.records import ColumnChoice


COLUMN_OPTIONS: tuple[tuple[str, JsonObject], ...] = (
    ("--prompt-column", {"metavar": "NAME", "help": "The prompt's column, if not `prompt`."}),
    ("--system-column", {"metavar": "NAME", "help": "A column to put in front as system turn."}),
    (
        "--ignore-column",
        {"metavar": "NAME", "multiple": True, "help": "A column to leave out; repeatable."},
    ),
)


def column_options(function: FC) -> FC:
    """Add the options, and pass what they say as `columns`."""

    @functools.wraps(function)
    def choosing(*given: object, **named: object) -> Any:
        names = ("prompt_column", "system_column", "ignore_column")
        columns = chosen_columns({name: named.pop(name) for name in names})
        return function(*given, columns=columns, **named)

    decorated: Any = choosing
    for name, attributes in reversed(COLUMN_OPTIONS):
        decorated = click.option(name, **attributes)(decorated)
    return cast(FC, decorated)


def config_column_options(function: FC) -> FC:
    """Add the options as keys of a training run's configuration."""
    decorated: Any = function
    for name, attributes in reversed(COLUMN_OPTIONS):
        decorated = click.option(name, callback=_given, **attributes)(decorated)
    return cast(FC, decorated)


def _given(context: click.Context, parameter: click.Parameter, value: object) -> Any:
    """Let an option that was not given leave the configuration file's value."""
    return list(value) or None if isinstance(value, tuple) else value


def chosen_columns(options: JsonMapping) -> ColumnChoice:
    """Return what the options say of a file's columns."""
    from clairkit.records import ColumnChoice

    return ColumnChoice(
        prompt=options["prompt_column"],
        system=options["system_column"],
        ignore=tuple(options["ignore_column"]),
        answer=options.get("answer_column"),
    )
