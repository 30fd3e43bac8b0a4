"""Read numbers as people write them in a spreadsheet, by their declared unit, or refuse them.

Read: 1,234 and 1 234 and 1'234 (groups of three), full-width digits, signs in front, accounting's
(1,234) and △1,234, 1.2E+03, the unit itself beside the number; with the decimal comma of a column
that has one: 1,5 and 1.234,5. Refused, with the cell named: what could mean two things (1,23 beside
1.23, or 1,234 alone where either mark may be meant), another unit, a date where a number belongs
(Excel makes dates of numbers), and the text that stands for an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from clairkit.errors import DataError

DATE = "date"
"""The unit of dates; read as days since 0001-01-01, so that differences are days."""

PERCENT = "%"
SHARE = "share"
"""The unit of shares of 1; "12 %" is read as 0.12."""

_MYRIADS = {"万": 10_000, "億": 100_000_000, "兆": 1_000_000_000_000}
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
# The signs that stand for a minus in front of a number, and the separators of thousands.
_SIGNS = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2013△▲", "-") | {"\uffe5": "¥"})
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009", " ") | {"\u2019": "'"})
_PLAIN = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"\d{1,3}([, '])\d{3}(?:\1\d{3})*(?:\.\d+)?", re.ASCII)
# Of a number with its separators: the mark that can only be the decimal one, or may be either.
_COMMA = re.compile(
    r"\d{1,3}(?:[. ']\d{3})+,\d+"  # 1.234,5
    r"|\d+,(?:\d{1,2}|\d{4,})|(?:0|\d{4,}),\d+"  # 1,5 and 0,123
    r"|\d{1,3}(?:\.\d{3}){2,}",  # 1.234.567
    re.ASCII,
)
_SWAPPED = str.maketrans(",.", ".,")
_EITHER = re.compile(r"[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_NUMBER = re.compile(r"\d[\d.,' ]*\d|\d", re.ASCII)
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE_LIKE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([ T]\d{1,2}:\d{2}.*)?"  # 2024-03-01 12:00, 3/1
    r"|\d+[年月].*"  # 3月1日
    r"|\d{1,2}:\d{2}(:\d{2})?"  # 1:30
    rf"|\d{{1,2}}[- ]{_MONTH}([- ]\d{{2,4}})?|{_MONTH}[- ]\d{{1,4}}",  # 1-Mar, Mar-24
    re.IGNORECASE | re.ASCII,
)
_WHOLE_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(\d{1,2})-(\d{1,2})|/(\d{1,2})/(\d{1,2})|年(\d{1,2})月(\d{1,2})日)"
    r"(?:[ T](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d+)?)?)?",
    re.ASCII,
)
_EXCEL_DATES = "format the column as text before typing, since Excel makes dates of numbers"
_MARK = 'name the decimal mark in kpi.yaml, beside column: decimal: ","'
_WRITE_DATES = "write dates as 2026-12-01"
_EXCEL_DAY_ZERO = date(1899, 12, 30).toordinal()
# Excel's day numbers of 1950 to 2199; 2024 is a year, no day of 1905.
_FIRST_DAY, _LAST_DAY = 18_264, 109_574
# What may stand beside a number for these units.
_SYMBOLS = {
    "円": ("円", "¥", "JPY"),
    "JPY": ("円", "¥", "JPY"),
    "¥": ("円", "¥", "JPY"),
    "USD": ("USD", "US$", "$"),
    "$": ("USD", "US$", "$"),
    "EUR": ("EUR", "€"),
    "€": ("EUR", "€"),
    "GBP": ("GBP", "£"),
    "£": ("GBP", "£"),
}


@dataclass(frozen=True)
class Cell:
    """Where a value stands.

    Attributes:
        path: the file.
        line: its line, from 1.
        column: the column's name.
    """

    path: str
    line: int
    column: str


def read_numbers(
    cells: Sequence[tuple[Cell, object]], unit: str, decimal: str = "."
) -> list[float | None]:
    """Return the numbers of a column in its declared unit.

    Args:
        cells: place and value of each.
        unit: as `read_number` has it.
        decimal: the decimal mark, "." or ","; "" is what the column itself shows.

    Returns:
        A number a cell; None where it is blank.

    Raises:
        DataError: a cell can't be read, the decimal mark can't be told, or a column in percent
            mixes cells with and without the sign, of which some are shares of 1.
    """
    decimal = decimal or ("." if unit == DATE else _decimal_mark(cells))
    found = []
    signed = fraction = None
    for cell, value in cells:
        number = read_number(value, unit, cell, decimal)
        found.append(number)
        if unit == PERCENT and number is not None:
            if "%" in _narrow(str(value)):
                signed = signed or cell
            elif 0 < abs(number) <= 1:
                fraction = fraction or (cell, value)
    if signed is not None and fraction is not None:
        cell, value = fraction
        raise _refused(
            cell,
            "some cells of this column carry % and this one may be a share of 1",
            value,
            "write all of them with %, or declare the unit share and write none with it",
        )
    return found


def _decimal_mark(cells: Iterable[tuple[Cell, object]]) -> str:
    """Return the decimal mark that a column shows.

    Raises:
        DataError: some cells show a comma and others a point, or a cell could have either.
    """
    shown: dict[str, tuple[Cell, object]] = {}
    open_cell: tuple[Cell, object] | None = None
    for cell, value in cells:
        found = _NUMBER.search(_narrow(value)) if isinstance(value, str) else None
        text = found[0] if found else ""
        if _COMMA.fullmatch(text):
            shown.setdefault(",", (cell, value))
        elif _COMMA.fullmatch(text.translate(_SWAPPED)):
            shown.setdefault(".", (cell, value))
        elif _EITHER.fullmatch(text):
            open_cell = open_cell or (cell, value)
    if len(shown) == 1:
        return next(iter(shown))
    if shown:
        cell, value = max(shown.values(), key=lambda each: each[0].line)
        raise _refused(cell, "other cells of the column have another decimal mark", value, _MARK)
    if open_cell is not None:
        cell, value = open_cell
        raise _refused(cell, "the mark may be a decimal one, or of thousands", value, _MARK)
    return "."


def read_number(value: object, unit: str, cell: Cell, decimal: str = ".") -> float | None:
    """Return a number in its declared unit, or None for a blank cell.

    Args:
        value: text, or what a spreadsheet's reader made of it.
        unit: "date"; "%" ("12 %" and "12" are 12); "share" ("12 %" is 0.12); or any name, which
            may stand beside the number ("12 min"). 万, 億 and 兆 are read where the unit has one
            ("万円": "1億2,000万円" is 12,000).
        cell: the place, for the message.
        decimal: the decimal mark, "." or ",".

    Raises:
        DataError: it can't be read as a number of that unit.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if unit == DATE:
        return _days(value, cell)
    if isinstance(value, bool | date):
        raise _refused(cell, f"this is no number in {unit}", value, _EXCEL_DATES)
    if isinstance(value, int | float):
        return _finite(float(value), value, cell)
    if not isinstance(value, str):
        raise _refused(cell, "this is no number", value)
    text = _narrow(value)
    if decimal == ",":
        text = text.translate(_SWAPPED)
    return _finite(_signed(text, value, unit, cell), value, cell) if text else None


def _narrow(text: str) -> str:
    """Return text in half-width signs, without blanks around it."""
    return text.translate(_FULL_WIDTH).translate(_SIGNS).translate(_SPACES).strip()


def _signed(text: str, value: str, unit: str, cell: Cell) -> float:
    """Return the number of a narrowed text with its sign."""
    inner = re.fullmatch(r"\((.+)\)", text)  # accounting's minus
    bare = inner[1].strip() if inner else text
    sign = -1.0 if inner else 1.0
    bare, has_unit = _without_unit(bare, unit)
    if not inner and bare[:1] in ("-", "+"):
        sign, bare = (-1.0 if bare[0] == "-" else 1.0), bare[1:].strip()
        bare, again = _without_unit(bare, unit)
        has_unit = has_unit or again
    number = _magnitude(bare, unit, has_unit)
    if number is None:
        raise _unreadable(text, value, unit, cell)
    return sign * number


def _without_unit(text: str, unit: str) -> tuple[str, bool]:
    """Return text without its unit (not 万, 億, 兆), and whether it was there."""
    name = _narrow(unit)
    base = name.lstrip("".join(_MYRIADS))
    for beside in ("%",) if unit == SHARE else _SYMBOLS.get(base, (base,)):
        if not beside:
            continue
        if text.lower().endswith(beside.lower()):
            return text[: -len(beside)].rstrip(), True
        if beside in ("¥", "$", "US$", "€", "£") and text.startswith(beside):
            return text[len(beside) :].lstrip(), True
    return text, False


def _magnitude(text: str, unit: str, has_unit: bool) -> float | None:
    """Return an unsigned number in the unit; None when it is none."""
    name = _narrow(unit)
    scale = math.prod(factor for mark, factor in _MYRIADS.items() if name.startswith(mark))
    if scale == 1:
        number = _plain(text)
        return number / 100 if number is not None and unit == SHARE and has_unit else number
    if any(mark in text for mark in _MYRIADS) or has_unit:
        number = _with_myriads(text)
        return None if number is None else number / scale
    return _plain(text)


def _with_myriads(text: str) -> float | None:
    """Return the value of 1億2,000万 or 3.5万 or 120,000."""
    total, rest = 0.0, text
    for mark, factor in reversed(_MYRIADS.items()):
        before, found, after = rest.partition(mark)
        if found:
            number = _plain(before.strip())
            if number is None:
                return None
            total, rest = total + number * factor, after
    if not rest.strip():
        return total
    number = _plain(rest.strip())
    return None if number is None else total + number


def _plain(text: str) -> float | None:
    if _PLAIN.fullmatch(text):
        return float(text)
    if _GROUPED.fullmatch(text) and not text.startswith("0"):
        return float(re.sub("[, ']", "", text))
    return None


def _days(value: object, cell: Cell) -> float | None:
    """Return a date as days since 0001-01-01, with the time of day as a fraction."""
    text = _narrow(value) if isinstance(value, str) else None
    if text == "":
        return None
    if text is not None and (found := _WHOLE_DATE.fullmatch(text)):
        return _ordinal(_calendar(found, value, cell))
    if isinstance(value, date):
        return _ordinal(value)
    number = value if text is None else _plain(text)
    if isinstance(number, int | float) and _FIRST_DAY <= number <= _LAST_DAY:
        return float(number) + _EXCEL_DAY_ZERO
    raise _refused(cell, "this is no date", value, _WRITE_DATES)


def _ordinal(day: date) -> float:
    if not isinstance(day, datetime):
        return float(day.toordinal())
    return day.toordinal() + (day.hour * 3600 + day.minute * 60 + day.second) / 86_400


def _calendar(found: re.Match[str], value: object, cell: Cell) -> datetime:
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    month, day = (int(part) for part in found.groups()[1:7] if part is not None)
    try:
        return datetime(int(found["year"]), month, day, hour, minute, second)
    except ValueError as error:
        raise _refused(cell, "the calendar has no such day", value, _WRITE_DATES) from error


def _finite(number: float, value: object, cell: Cell) -> float:
    if not math.isfinite(number):
        raise _refused(cell, "this number is not finite", value)
    return number


def _unreadable(text: str, value: str, unit: str, cell: Cell) -> DataError:
    """Return the error that says why a text is no number of the unit."""
    problem, remedy = f"this is no number in {unit}", "leave the cell empty where nothing is known"
    if _DATE_LIKE.fullmatch(text):
        problem, remedy = f"a date or a time stands where a number in {unit} belongs", _EXCEL_DATES
    elif any(mark in text for mark in _MYRIADS):
        remedy = "declare a unit with it, such as 万円, or write the number out"
    elif "%" in text:
        remedy = "declare the unit % or share, or leave % away"
    elif re.fullmatch(r"[-+]?[\d.,' ]+", text) and re.search("[0-9]", text):
        problem = "this number can be read in more than one way"
        remedy = "write 1234.5 or 1,234.5"
    return _refused(cell, problem, value, remedy)


def _refused(cell: Cell, problem: str, value: object, remedy: str | None = None) -> DataError:
    return DataError(
        f"column {cell.column}: {problem}",
        path=cell.path,
        line=cell.line,
        received=str(value),
        remedy=remedy,
    )
