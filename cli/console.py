"""What every command prints through: results to stdout, all else to stderr, secrets nowhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from clairkit.display import printable, redact

Command = TypeVar("Command", bound=Callable[..., Any])


def output_options(function: Command) -> Command:
    """Add `--json` and `--quiet`, which every command has."""
    function = click.option("--quiet", is_flag=True, help="Print no progress.")(function)
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on stdout, all else on stderr."
    )(function)


@dataclass(frozen=True)
class Console:
    """The two streams of one command run."""

    as_json: bool = False
    quiet: bool = False

    def note(self, text: str) -> None:
        """Progress and remarks, to stderr; silent under `--quiet`."""
        if not self.quiet:
            self._write(text, sys.stderr)

    def warn(self, text: str) -> None:
        """What a user must see even under `--quiet`, to stderr."""
        self._write(f"Warning: {text}", sys.stderr)

    def show(self, text: str) -> None:
        """The result for people: stdout, or stderr when stdout carries JSON."""
        if not (self.as_json and self.quiet):
            self._write(text, sys.stderr if self.as_json else sys.stdout)

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = ""
    ) -> None:
        """A table for people: first column left, the others right aligned, cells shown literally.

        Args:
            title: a line above it.
            columns: the head of each column.
            rows: text cells, as many a row as there are columns.
            note: a line below it (units, tokenizer, how it was measured).
        """
        if self.as_json and self.quiet:
            return
        from rich.console import Console as Rich
        from rich.table import Table
        from rich.text import Text

        stream = sys.stderr if self.as_json else sys.stdout
        table = Table(title=Text(redact(title)), title_justify="left", title_style="bold", box=None)
        for index, column in enumerate(columns):
            table.add_column(Text(column), justify="right" if index else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(redact(printable(cell, keep=""))) for cell in row))
        rich = Rich(file=stream, highlight=False, markup=False, emoji=False)
        rich.print(table)
        if note:
            self._write(note, stream)

    def result(self, value: Mapping[str, Any]) -> None:
        """The one result object of `--json`; prints nothing otherwise."""
        if self.as_json:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
            sys.stdout.write(redact(text) + "\n")

    def _write(self, text: str, stream: Any) -> None:
        stream.write(redact(printable(text)) + "\n")
        stream.flush()
