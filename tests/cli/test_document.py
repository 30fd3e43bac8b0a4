"""The documented help is the help."""

from __future__ import annotations

from pathlib import Path

from clairkit.cli.document import commands_page

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "commands.md"


def test_the_documented_help_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == commands_page(), "run `make docs`"
