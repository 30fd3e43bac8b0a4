"""Read rows of JSON files: an object on each line, an array, or an object that holds one array."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any, BinaryIO

from clairkit.records.faults import ROW_CAP, Located, RowFault
from clairkit.records.formats.encodings import iso_2022_fault
from clairkit.records.formats.lines import (
    encoding_advice,
    open_bytes,
    read_lines,
    too_large,
    torn_gzip,
)
from clairkit.records.formats.strict_json import (
    LENIENT,
    STRICT,
    check_depth,
    not_an_object,
    parse_object,
    too_deep,
)
from clairkit.records.source import Source

_CHUNK = 2**18
_SPACE = re.compile(r"[ \t\r\n]*")
# A list under such a name belongs to one row; it is not the list of rows.
_ROW_NAMES = frozenset(("prompt", "chosen", "rejected", "task", "messages"))


def json_lines(source: Source) -> Iterator[Located]:
    """Yield the rows of a file with one JSON object on each line; blank lines are passed over."""
    for number, line in read_lines(source):
        if isinstance(line, RowFault):
            yield number, line
        elif not line.isspace():
            try:
                yield number, parse_object(line)
            except RowFault as fault:
                yield number, fault


def json_rows(source: Source) -> Iterator[Located]:
    """Yield the rows of a `.json` file: an array, an object with one array, or in truth JSON lines.

    Raises:
        DataError: the file has none of these forms, or is broken where no next row can be found.
    """
    if _is_lines(source):
        yield from json_lines(source)
        return
    with open_bytes(source) as file:
        window = _Window(file, source)
        try:
            yield from _elements(window) if window.peek() == "[" else _members(window)
        except RowFault as fault:
            raise fault.to_error(source.path, window.line) from None


def _is_lines(source: Source) -> bool:
    """Say whether the first line that is not blank is a whole JSON object, or the file is empty."""
    lines = (line for _, line in read_lines(source) if isinstance(line, RowFault) or line.strip())
    first = next(lines, "")
    if isinstance(first, RowFault):
        return first.reason != "too_large"  # a long first line may be a whole array
    start = first.lstrip()[:1]
    return start != "[" and (start != "{" or _is_row(first, alone=next(lines, None) is None))


def _is_row(line: str, *, alone: bool) -> bool:
    """Say whether `line` is a row, not the beginning of an object that holds rows, or all of it."""
    try:
        value = STRICT.decode(line)
    except RecursionError:
        return True
    except RowFault:
        return True
    except JSONDecodeError as error:
        return error.msg == "Extra data"  # `{…} {…}`: two on one line, reported as such
    has_list = any(isinstance(member, list) for member in value.values())
    return not alone or not has_list or bool(_ROW_NAMES & value.keys())


def _elements(window: _Window) -> Iterator[Located]:
    """Yield the elements of the array at the window's place."""
    window.expect("[")
    if window.peek() == "]":
        window.expect("]")
        return
    while True:
        window.peek()
        line = window.line
        yield line, window.value()
        if window.peek() != ",":
            break
        window.expect(",")
    window.expect("]")


def _members(window: _Window) -> Iterator[Located]:
    """Yield the elements of the only array that is a member of the object here."""
    window.expect("{")
    rows_under = None
    while window.peek() != "}":
        name = window.text_value()
        if name in _ROW_NAMES:
            remedy = "put the objects between [ and ], or one on each line of a .jsonl file"
            raise RowFault(
                "bad_json", "the file is one single row over several lines", remedy=remedy
            )
        window.expect(":")
        if window.peek() != "[":
            window.value()
        elif rows_under is None:
            rows_under = name
            yield from _elements(window)
        else:
            problem = f"the object has two lists, `{rows_under}` and `{name}`"
            raise RowFault("bad_json", problem, remedy="keep only the list of rows")
        if window.peek() != ",":
            break
        window.expect(",")
    window.expect("}")


class _Window:
    """A place in a JSON text of any length, of which only one row is held in memory."""

    def __init__(self, file: BinaryIO, source: Source) -> None:
        self.line = 1
        self._source = source
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is not a space, "" at the end; the place moves to it."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._move(match.end() if match else self._at)
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._fill(_CHUNK)

    def expect(self, mark: str) -> None:
        """Move past `mark`.

        Raises:
            DataError: something else stands there.
        """
        found = self.peek()
        if found != mark:
            raise self._broken(f"`{mark}` was expected")
        self._move(self._at + 1)

    def text_value(self) -> str:
        """Move past a text and return it.

        Raises:
            DataError: something else stands there.
        """
        if self.peek() != '"':
            raise self._broken("a name in quotes was expected")
        return str(self.value(row=False))

    def value(self, *, row: bool = True) -> Any:
        """Move past a value and return it, or the fault that makes it no row.

        Raises:
            DataError: it is not JSON, or too large or too deep to be read.
        """
        size = _CHUNK
        while True:
            try:
                value, end = self._decode()
            except JSONDecodeError as error:
                if self._ended:
                    raise self._broken(f"not JSON ({error.msg})") from None
            except RecursionError:
                raise too_deep() from None
            else:
                # A number at the very end may go on in the next chunk.
                if end < len(self._text) or self._ended:
                    if row:
                        return self._taken(value, end)
                    self._move(end)
                    return value
            if len(self._text) - self._at > ROW_CAP:
                raise too_large()
            self._fill(size)
            size *= 2

    def _decode(self) -> tuple[Any, int]:
        try:
            return STRICT.raw_decode(self._text, self._at)
        except RowFault as fault:
            return fault, LENIENT.raw_decode(self._text, self._at)[1]

    def _taken(self, value: object, end: int) -> Any:
        size = end - self._at
        self._move(end)
        if size > ROW_CAP:
            return too_large()
        try:
            check_depth(value)
        except RowFault as fault:
            return fault
        return value if isinstance(value, dict | RowFault) else not_an_object(value)

    def _move(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end

    def _fill(self, size: int) -> None:
        try:
            data = self._file.read(size)
        except (EOFError, zlib.error, OSError) as error:
            raise torn_gzip(error) from None
        self._ended = not data
        if b"\x1b" in data and (fault := iso_2022_fault(self._source.path, data)) is not None:
            raise fault
        try:
            more = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise self._not_utf8(error) from None
        self._text = self._text[self._at :] + more
        self._at = 0

    def _not_utf8(self, error: UnicodeDecodeError) -> RowFault:
        """The fault of the line that the bytes in question are in; the place moves there."""
        before = bytes(error.object[: error.start])
        self.line += self._text.count("\n", self._at) + before.count(b"\n")
        start = before.rfind(b"\n") + 1
        line = bytes(error.object[start:]).partition(b"\n")[0]
        here = UnicodeDecodeError("utf-8", line, error.start - start, error.end - start, "")
        return encoding_advice(self._source).fault(line + b"\n", here)

    def _broken(self, problem: str) -> RowFault:
        rest = self._text[self._at : self._at + 200]
        if not rest:
            remedy = "write it again; as .jsonl its whole rows could be kept"
            return RowFault("torn_json", "the file stops in the middle", remedy=remedy)
        return RowFault("bad_json", problem, received=rest, remedy="correct the file at this line")
