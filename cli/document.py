"""Write docs/commands.md: the help of every command, as the command line prints it.

Run `make docs`; a test compares the file with what the code says now.
"""

from __future__ import annotations

import click

from clairkit.cli.main import COMMANDS, cli

_INTRODUCTION = """# Commands

What `clairkit COMMAND --help` prints, written by `make docs`. Exit codes, everywhere: 0 done, 1 a
bug, 2 usage or configuration, 3 bad input data, 4 part of the work done, 5 resources, 6 a remote
model, its credentials or a budget, 7 a gate not passed, 8 more evidence needed, 130 and 143
interrupted and terminated.
"""


def commands_page() -> str:
    """Return the text of docs/commands.md.

    Raises:
        LookupError: a command of the list is missing.
    """
    root = _context(cli, "clairkit", None)
    sections = [_INTRODUCTION, _section("clairkit", cli, root)]
    for name in COMMANDS:
        command = cli.get_command(root, name)
        if command is None:
            raise LookupError(name)
        sections += _sections(command, name, root)
    return "\n".join(sections)


def _sections(command: click.Command, name: str, parent: click.Context) -> list[str]:
    """Return the section of a command, and those of the commands below it."""
    context = _context(command, name, parent)
    below = command.commands if isinstance(command, click.Group) else {}
    return [
        _section(context.command_path, command, context),
        *(text for each in below.values() for text in _sections(each, each.name or "", context)),
    ]


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """As a call makes it, with the command's own settings, but 80 columns wide everywhere."""
    return command.make_context(
        name, [], parent, resilient_parsing=True, terminal_width=80, max_content_width=80
    )


def _section(title: str, command: click.Command, context: click.Context) -> str:
    return f"## {title}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    click.echo(commands_page(), nl=False)
