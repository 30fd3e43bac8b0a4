"""Print for every command: results to stdout, all else to stderr, secrets nowhere."""

from __future__ import annotations

import functools
import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

import click
from click.decorators import FC

from clairkit.cli.shared.streams import messages, results, stdout_for_results
from clairkit.display import printable, redact
from clairkit.errors import ResourceError
from clairkit.user_code import ended_by_loaded

if TYPE_CHECKING:
    from clairkit.records.json_types import JsonMapping

_DEFAULT_WIDTH = 80  # columns, where the output is not a terminal
# JSON escapes the control characters below U+0020 itself; a terminal obeys these as well.
_LIVE = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def output_options(function: FC) -> FC:
    """Add `--json` and `--quiet`, which every command has; stdout is for its results alone."""

    @functools.wraps(function)
    def owning(*given: object, **named: object) -> Any:
        with stdout_for_results(), _no_silent_end():
            return function(*given, **named)

    quiet = click.option("--quiet", is_flag=True, help="Print no progress.")
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on stdout, all else on stderr."
    )
    return cast(FC, as_json(quiet(owning)))


@contextmanager
def _no_silent_end() -> Iterator[None]:
    """Turn `SystemExit` within a command, which would be its success, into an error.

    Raises:
        UserCodeEnded: a task or callback of the user's functions raised it.
        RuntimeError: a library did.
    """
    try:
        yield
    except SystemExit as error:
        ended = ended_by_loaded(error)
        raise (ended or RuntimeError(f"a library ended the program: {error!r}")) from error


@dataclass(frozen=True)
class Console:
    """The two streams of one command run.

    A reader that goes away (`| head`) ends the output, not the command: its files are still
    written and its exit code still tells what happened.
    """

    as_json: bool = False
    quiet: bool = False
    silent: bool = False
    """Nothing is printed: another process speaks for this one."""

    def note(self, text: str) -> None:
        """Progress and remarks, to stderr; silent under `--quiet`."""
        if not self.quiet:
            self._write(text, messages())

    def warn(self, text: str) -> None:
        """What a user must see even under `--quiet`, to stderr."""
        self._write(f"Warning: {text}", messages())

    def show(self, text: str) -> None:
        """The result for people: stdout, or stderr when stdout carries JSON."""
        if not (self.as_json and self.quiet):
            self._write(text, messages() if self.as_json else results())

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = ""
    ) -> None:
        """A table for people: first column left, the others right aligned, cells shown literally.

        Where it does not fit the terminal, each row becomes a few lines, a cell a line.

        Args:
            title: a line above it.
            columns: the head of each column.
            rows: text cells, as many a row as there are columns.
            note: a line below it (units, tokenizer, how it was measured).
        """
        if self.silent or (self.as_json and self.quiet):
            return
        stream = messages() if self.as_json else results()
        safe = [[_safe(cell) for cell in row] for row in (columns, *rows)]
        if _needed(safe) <= width_of(stream):
            emit(_grid(_safe(title), safe, stream), stream)
        else:
            emit(_stacked(_safe(title), safe), stream)
        if note:
            self._write(note, stream)

    def styled(self, parts: Sequence[tuple[str, str]]) -> None:
        """Text for people in parts, each with a style of rich's ("" for none).

        Where there are no colours the text is the same, so that it has to say all without them.
        """
        if self.silent or (self.as_json and self.quiet):
            return
        stream = messages() if self.as_json else results()
        safe = [(redact(printable(text)), style) for text, style in parts]
        if stream.isatty() or "COLUMNS" in os.environ:
            from rich.text import Text

            text = Text.assemble(*safe, tab_size=8, overflow="fold")
            emit(_drawn([text], stream), stream)
        else:
            emit("".join(text for text, _ in safe) + "\n", stream)

    def result(self, value: JsonMapping) -> None:
        """The one result object of `--json`; prints nothing otherwise.

        NaN and infinities, for which JSON has no form, become null.
        """
        if self.as_json and not self.silent:
            emit(_json_text(_plain(value), results()) + "\n", results())

    def _write(self, text: str, stream: TextIO) -> None:
        if self.silent:
            return
        safe = redact(printable(text))
        # In a file or a pipe lines stay whole, for grep, unless COLUMNS asks for a width.
        narrow = stream.isatty() or "COLUMNS" in os.environ
        emit((_wrapped(safe, width_of(stream)) if narrow else safe) + "\n", stream)


def _wrapped(text: str, columns: int) -> str:
    """Break lines between words; commands stay whole, so that they can be copied."""
    import textwrap

    width = max(columns, 20)
    lines = []
    for line in text.split("\n"):
        if len(line) <= width or line.lstrip().startswith("clairkit "):
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(lines)


def emit(text: str, stream: TextIO) -> None:
    """Write `text`; once the reader of `stream` is gone, write nowhere.

    Raises:
        ResourceError: stdout goes to a disk that is full, or fails otherwise.
    """
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        silence(stream)
    except RuntimeError:  # a signal's handler speaks while the stream is being flushed
        with suppress(OSError):
            os.write(stream.fileno(), text.encode(stream.encoding, "backslashreplace"))
    except OSError as error:
        silence(stream)
        if stream is not messages():  # what can't be said on stderr can't be said
            problem = f"the standard output cannot be written ({error.strerror})"
            raise ResourceError(problem, remedy="free the disk, or redirect elsewhere") from None


def silence(stream: TextIO) -> None:
    """Point a stream that cannot be written at the null device, the interpreter's flush too."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def width_of(stream: TextIO) -> int:
    """Return the columns to write for: `COLUMNS`, else the terminal's, else 80."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isascii() and asked.isdigit() and int(asked) > 0:
        return int(asked)
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    return _DEFAULT_WIDTH


def _safe(cell: str) -> str:
    return redact(printable(cell, keep=""))


def _needed(rows: Sequence[Sequence[str]]) -> int:
    """Return the columns that a grid of these rows takes."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + len(widths) - 1


def _grid(title: str, rows: Sequence[Sequence[str]], stream: TextIO) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for index, column in enumerate(rows[0]):
        table.add_column(Text(column), justify="right" if index else "left", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return _drawn([Text(title, style="bold"), table], stream)


def _drawn(parts: Sequence[object], stream: TextIO) -> str:
    from rich.console import Console as Rich

    # Not to the stream itself: rich leaves the program when the reader has gone.
    drawn = io.StringIO()
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in (None, "", "dumb")
    rich = Rich(
        file=drawn,
        width=width_of(stream),
        force_terminal=not plain and stream.isatty(),
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in parts:
        rich.print(part)
    return "".join(f"{line.rstrip()}\n" for line in drawn.getvalue().split("\n")[:-1])


def _stacked(title: str, rows: Sequence[Sequence[str]]) -> str:
    lines = [title]
    for row in rows[1:]:
        lines.append(row[0])
        lines += [f"  {name} {cell}".rstrip() for name, cell in zip(rows[0], row, strict=True)][1:]
    return "\n".join(lines) + "\n"


def _plain(value: object) -> Any:
    """Return `value` as JSON has it, every text without secrets."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {redact(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return redact(str(value))


def _json_text(value: object, stream: TextIO) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        # The stream's own escapes for what it cannot encode would not be JSON.
        return json.dumps(value, allow_nan=False)
    return _LIVE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
