"""Define options that several commands have, and group them in sections of a long `--help`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click
from click.decorators import FC

if TYPE_CHECKING:
    from clairkit.models.specs import ModelOptions
    from clairkit.records import ColumnChoice
    from clairkit.records.json_types import JsonMapping, JsonObject


PACE = "Pace and cost"
COLUMN_OPTIONS: tuple[tuple[str, JsonObject], ...] = (
    ("--prompt-column", {"metavar": "NAME", "help": "The prompt's column, if not `prompt`."}),
    ("--system-column", {"metavar": "NAME", "help": "A column to put in front as system turn."}),
    (
        "--ignore-column",
        {"metavar": "NAME", "multiple": True, "help": "A column to leave out; repeatable."},
    ),
)


class SectionOption(click.Option):
    """An option with the heading that it stands under."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)


def section_option(section: str, *names: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return a `click.option` under a heading; it shows its default, unless it is a flag."""
    shown = attributes.get("default") is not None and not attributes.get("is_flag")
    return click.option(
        *names, cls=SectionOption, section=section, show_default=shown, **attributes
    )


def add_options(*options: Callable[[Any], Any]) -> Callable[[FC], FC]:
    """Return a decorator that adds options to a command, in the order of its help."""

    def add(function: FC) -> FC:
        for option in reversed(options):
            function = option(function)
        return function

    return add


class ResumableCommand(click.Command):
    """Remembers its arguments for the command that resumes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["clairkit.arguments"] = list(args)
        return super().parse_args(ctx, args)


class SectionCommand(ResumableCommand):
    """Shows its options by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                heading = getattr(parameter, "section", "Output")
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


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


_pace = partial(section_option, PACE)
PACE_OPTIONS = (
    _pace("--concurrency", type=int, default=8, help="Requests at once to a model."),
    _pace("--batch-size", type=int, default=16, help="Rows at once in hf: models."),
    _pace("--timeout", type=float, default=600.0, help="Of one request, in seconds."),
    _pace("--requests-per-minute", type=float, metavar="N", help="To each model."),
    _pace("--tokens-per-minute", type=float, metavar="N", help="To and from each model."),
    _pace("--max-calls", type=int, metavar="N", help="Stop before more, resumably."),
    _pace("--max-cost", type=float, metavar="US$", help="Stop before more, resumably."),
    _pace("--prices", metavar="FILE", help="YAML: MODEL: {input: US$, output: US$}."),
    _pace(
        "--price", "price", metavar="MODEL=IN,OUT", multiple=True, help="US$ per million tokens."
    ),
)
"""Each adds an option to a command."""


def column_options(function: FC) -> FC:
    """Add the options, and pass what they say as `columns`."""

    @functools.wraps(function)
    def choosing(*given: object, **named: object) -> Any:
        names = ("prompt_column", "system_column", "ignore_column")
        columns = chosen_columns({name: named.pop(name) for name in names})
        return function(*given, columns=columns, **named)

    options = (click.option(name, **of) for name, of in COLUMN_OPTIONS)
    return cast(FC, add_options(*options)(choosing))


def config_column_options(function: FC) -> FC:
    """Add the options as keys of a training run's configuration."""
    options = (click.option(name, callback=_given, **of) for name, of in COLUMN_OPTIONS)
    return add_options(*options)(function)


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


def model_settings(
    options: JsonMapping, roles: Collection[str] = (), *, needs_key: bool = True
) -> ModelOptions:
    """Return how models are run, by those of the options that have a say in it.

    Args:
        options: of the command line.
        roles: that `--chat-template-kwargs` may name.
        needs_key: whether servers will be asked.

    Raises:
        UsageError: a value is out of range, or not of its form.
    """
    from clairkit.models.server.request_body import parse_body, parse_chat
    from clairkit.models.specs import ModelOptions
    from clairkit.records.thoughts import parse_marks

    given = {name: options[name] for name in ModelOptions.__dataclass_fields__ if name in options}
    for name in given:
        if name.endswith("body"):
            given[name] = parse_body(given[name])
    if "thought_marks" in given:
        given["thought_marks"] = parse_marks(given["thought_marks"])
    if "chat_template_kwargs" in options:
        chat, fold = options["chat_template_kwargs"], options["fold_system"]
        given["chat"] = parse_chat(chat, roles, fold_system=fold)
    return ModelOptions(**given, needs_key=needs_key)
