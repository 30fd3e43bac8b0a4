"""Read rows of CSV files; the first record names the columns."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from clairkit.errors import DataError
from clairkit.records.faults import ROW_CAP, Located, RowFault
from clairkit.records.formats.lines import read_lines
from clairkit.records.formats.strict_json import parse_object
from clairkit.records.json_types import JsonObject
from clairkit.records.source import Source

_OBJECTS = ("scores", "provenance")
DELIMITERS = ",;\t"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_OPTIONAL = ("id", "answer", "rationale", "rational", "source", *_OBJECTS)


def csv_rows(source: Source) -> Iterator[Located]:
    """Yield the rows of a CSV file with the line that each begins on.

    Separator comma; semicolon or tab where the first line has no comma. Quote `"`, doubled inside
    a quoted cell. An empty cell of an optional column is an absent one.

    Raises:
        DataError: the first record is not a list of distinct column names.
    """
    # The limit is one of the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), ROW_CAP))
    lines = _Lines(source)
    delimiter = source.delimiter or found_delimiters(source)[:1] or ","
    records = csv.reader(lines, strict=True, delimiter=delimiter)
    names: list[str] | None = None
    while True:
        line = lines.number + 1
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            fault = RowFault("bad_csv", f"not CSV ({error})", remedy='quote cells with "')
            yield line, fault
            continue
        except RowFault as fault:
            yield lines.number, fault
            continue
        if len(record) <= 1 and not "".join(record).strip():
            continue  # a blank line
        if names is None:
            names = _names(record, source.path, line)
        else:
            yield line, _row(names, record)


def found_delimiters(source: Source) -> str:
    """Return which of comma, semicolon and tab stand in the first line, outside of quotes."""
    first = next((line for _, line in read_lines(source)), "")
    bare = "" if isinstance(first, RowFault) else _QUOTED.sub("", first)
    return "".join(mark for mark in DELIMITERS if mark in bare)


class _Lines:
    """The lines of the file as an iterator that goes on after it has raised a fault."""

    def __init__(self, source: Source) -> None:
        self.number = 0
        self._lines = read_lines(source)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if isinstance(line, RowFault):
            raise line
        return line


def _names(record: list[str], path: str, line: int) -> list[str]:
    twice = sorted({name for name in record if record.count(name) > 1})
    if twice:
        raise DataError(
            "two columns have the same name",
            path=path,
            line=line,
            received=twice[0],
            remedy="rename one",
        )
    return record


def _row(names: list[str], record: list[str]) -> JsonObject | RowFault:
    if len(record) != len(names):
        problem = f"{len(record)} cells in a table of {len(names)} columns"
        return RowFault("bad_csv", problem, remedy="quote cells that hold commas or line ends")
    row: JsonObject = dict(zip(names, record, strict=True))
    try:
        for name in _OPTIONAL:
            if row.get(name) == "":
                del row[name]
        for name in _OBJECTS:
            if name in row:
                row[name] = parse_object(row[name] + "\n")
    except RowFault as fault:
        return fault
    return row
