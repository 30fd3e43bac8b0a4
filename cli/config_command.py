"""Suggest a configuration key where an unknown flag of a command is one."""

from __future__ import annotations

import click


class ConfigCommand(click.Command):
    """Says for an option that is not there how its key is set."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and tell of the key that an unknown option stands for.

        Raises:
            click.UsageError: an option is not known.
        """
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            way = _way(error.option_name, self)
            if way is None:
                raise
            message = f"No such option: {error.option_name}. Use {way}"
            raise click.UsageError(message, ctx=ctx) from None


def _way(option: str, command: click.Command) -> str | None:
    """Return how the key that an option stands for is set; None for an unknown one."""
    from clairkit.training.quick_checks import KEYS

    key = KEYS.get(option.lstrip("-").replace("-", "_").lower())
    if key is None:
        return None
    for parameter in command.params:
        if parameter.name == key:
            return parameter.opts[-1] + (" VALUE" if not getattr(parameter, "is_flag", 0) else "")
    return f"--set {key}=VALUE"
