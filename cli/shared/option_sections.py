"""Group a command's options in sections, so that a long `--help` can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


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
