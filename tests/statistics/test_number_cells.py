# ruff: noqa: RUF001 - full-width digits and signs are what people type, and what is tested
"""Numbers as people write them: read as meant, or refused with the cell named."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError
from clairkit.statistics.number_cells import (
    DATE,
    PERCENT,
    SHARE,
    Cell,
    read_number,
    read_numbers,
)


def column(*texts: str) -> list[tuple[Cell, object]]:
    return [(Cell("log.csv", line, "minutes"), text) for line, text in enumerate(texts, 2)]


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (("1,5", "1.234,5", "(2,25)", "1 234,5 min", "0,125"), (1.5, 1234.5, -2.25, 1234.5, 0.125)),
        (("1.5", "1,234.5", "2"), (1.5, 1234.5, 2)),
        (("1,234,567", "1,234"), (1234567, 1234)),  # two commas are of thousands, so is the other
        (("1.234.567", "1.234", "7"), (1234567, 1234, 7)),
        (("12", "7 min", ""), (12, 7, None)),
    ],
)
def test_a_column_shows_its_decimal_mark(
    texts: tuple[str, ...], numbers: tuple[float | None, ...]
) -> None:
    assert read_numbers(column(*texts), "min", "") == list(numbers)


@pytest.mark.parametrize(
    ("texts", "line", "received"),
    [
        (("12", "1,234", "5,678"), 3, "1,234"),
        (("1.234", "5"), 2, "1.234"),
        (("1,5", "2,25", "3.5"), 4, "3.5"),
    ],
)
def test_a_column_that_does_not_is_refused(
    texts: tuple[str, ...], line: int, received: str
) -> None:
    with pytest.raises(DataError) as refused:
        read_numbers(column(*texts), "min", "")
    assert (refused.value.line, refused.value.received) == (line, received)
    assert "decimal:" in str(refused.value)


def test_a_named_decimal_mark_counts() -> None:
    assert read_numbers(column("1,234"), "min", ",") == [1.234]
    assert read_numbers(column("1,234"), "min", ".") == [1234]
    with pytest.raises(DataError) as refused:
        read_numbers(column("1,2,3"), "min", ",")
    assert refused.value.received == "1,2,3"


CELL = Cell("kpi.csv", 12, "minutes")


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("1234", "minutes", 1234),
        ("1,234", "minutes", 1234),
        ("1,234,567.5", "minutes", 1234567.5),
        ("１，２３４．５", "minutes", 1234.5),
        ("　12　", "minutes", 12),
        ("1 234 567", "minutes", 1234567),
        ("1\u202f234", "minutes", 1234),
        ("1\u00a0234.5", "minutes", 1234.5),
        ("1'234", "CHF", 1234),
        ("12 minutes", "minutes", 12),
        ("12Minutes", "minutes", 12),
        (".5", "minutes", 0.5),
        ("5.", "minutes", 5),
        ("+5", "minutes", 5),
        ("-5", "minutes", -5),
        ("\u22125", "minutes", -5),
        ("－５", "minutes", -5),
        ("△1,234", "円", -1234),
        ("▲５", "円", -5),
        ("(1,234)", "USD", -1234),
        ("($1,234.50)", "USD", -1234.5),
        ("-$5", "USD", -5),
        ("$-5", "USD", -5),
        ("￥1,200", "円", 1200),
        ("1,200円", "JPY", 1200),
        ("1.2E+03", "minutes", 1200),
        ("12%", PERCENT, 12),
        ("１２％", PERCENT, 12),
        ("12", PERCENT, 12),
        ("(3.5%)", PERCENT, -3.5),
        ("12 %", SHARE, 0.12),
        ("0.12", SHARE, 0.12),
        ("123", "万円", 123),
        ("123万円", "万円", 123),
        ("1億2,000万円", "万円", 12000),
        ("１億２０００万", "万円", 12000),
        ("1.5億", "億円", 1.5),
        ("5000万円", "億円", 0.5),
        ("1,200,000円", "万円", 120),
        ("1億2万3", "万円", 10002.0003),
        ("3万人", "万人", 3),
        ("-3万", "万人", -3),
    ],
)
def test_numbers_are_read_as_meant(text: str, unit: str, number: float) -> None:
    assert read_number(text, unit, CELL) == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize("value", [None, "", "  ", "　", "\t", float("nan")])
@pytest.mark.parametrize("unit", ["minutes", PERCENT, DATE])
def test_blank_cells_are_missing(value: object, unit: str) -> None:
    assert read_number(value, unit, CELL) is None


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [
        ("1,23", "minutes", "more than one way"),
        ("1.234,5", "minutes", "more than one way"),
        ("1.234.567", "minutes", "more than one way"),
        ("12,34,567", "minutes", "more than one way"),
        ("0,123", "minutes", "more than one way"),
        ("1,234'567", "minutes", "more than one way"),
        ("1 2", "minutes", "more than one way"),
        ("12%", "minutes", "unit % or share"),
        ("3万", "円", "万円"),
        ("12 km", "minutes", "no number in minutes"),
        ("$5", "円", "no number"),
        ("#N/A", "minutes", "leave the cell empty"),
        ("#DIV/0!", "minutes", "leave the cell empty"),
        ("-", "minutes", "leave the cell empty"),
        ("n/a", "minutes", "leave the cell empty"),
        ("nan", "minutes", "leave the cell empty"),
        ("inf", "minutes", "leave the cell empty"),
        ("1e999", "minutes", "not finite"),
        (float("inf"), "minutes", "not finite"),
        ("--5", "minutes", "no number"),
        ("-(5)", "minutes", "no number"),
        ("5-", "minutes", "no number"),
        ("①", "minutes", "no number"),
        ("十二", "minutes", "no number"),
        ("٣", "minutes", "no number"),
        ("0x10", "minutes", "no number"),
        ("1_000", "minutes", "no number"),
        ("万", "万円", "no number"),
        ("億万", "万円", "no number"),
        ("%", PERCENT, "no number"),
        (True, "minutes", "no number"),
        (b"5", "minutes", "no number"),
        ("2024-03-01", "minutes", "Excel makes dates"),
        ("3/1", "minutes", "Excel makes dates"),
        ("1-Mar", "minutes", "Excel makes dates"),
        ("Mar-24", "minutes", "Excel makes dates"),
        ("3月1日", "minutes", "Excel makes dates"),
        ("1:30", "minutes", "Excel makes dates"),
        (datetime(2024, 3, 1), "minutes", "Excel makes dates"),
        (date(2024, 3, 1), "minutes", "Excel makes dates"),
        ("2024-02-30", DATE, "no such day"),
        ("3/1/2024", DATE, "no date"),
        ("20240301", DATE, "no date"),
        ("2024", DATE, "no date"),
        ("令和6年3月1日", DATE, "no date"),
        (True, DATE, "no date"),
    ],
)
def test_what_could_mean_something_else_is_refused(value: object, unit: str, says: str) -> None:
    with pytest.raises(DataError, match=r"^kpi\.csv:12: column minutes: ") as refused:
        read_number(value, unit, CELL)
    assert says.casefold() in str(refused.value).casefold()
    assert refused.value.received == str(value)


@pytest.mark.parametrize(
    "value",
    [
        "2024-03-01",
        "2024/3/1",
        "２０２４年３月１日",
        "45352",
        45352,
        45352.0,
        date(2024, 3, 1),
        datetime(2024, 3, 1),
        "2024-03-01 00:00:00",
    ],
)
def test_dates_are_days(value: object) -> None:
    assert read_number(value, DATE, CELL) == date(2024, 3, 1).toordinal()


def test_time_of_day_is_a_part_of_a_day() -> None:
    noon = date(2024, 3, 1).toordinal() + 0.5
    values = [datetime(2024, 3, 1, 12), 45352.5, "2024-03-01 12:00", "2024-03-01T12:00:00"]
    assert [read_number(value, DATE, CELL) for value in values] == [noon] * 4


def cells(*values: object) -> list[tuple[Cell, object]]:
    return [(Cell("kpi.csv", line, "rate"), value) for line, value in enumerate(values, start=2)]


def test_a_column_of_percent_with_and_without_sign() -> None:
    assert read_numbers(cells("12%", "15 %", "", "8"), PERCENT) == [12, 15, None, 8]
    assert read_numbers(cells("12%", "0.5%"), PERCENT) == [12, 0.5]
    with pytest.raises(DataError, match=r"^kpi\.csv:4: column rate: .*share of 1"):
        read_numbers(cells("12%", "15%", "0.08"), PERCENT)


@given(st.floats(-1e12, 1e12), st.sampled_from(["minutes", "円", "USD", PERCENT]))
def test_what_a_spreadsheet_writes_is_read_back(number: float, unit: str) -> None:
    for text in (repr(number), f"{number:,.6f}", f"{number:.9E}"):
        found = read_number(text, unit, CELL)
        assert found == pytest.approx(number, rel=1e-9, abs=1e-6)


@given(st.text(max_size=12), st.sampled_from(["minutes", "万円", PERCENT, SHARE, DATE, ""]))
def test_any_text_is_read_or_refused(text: str, unit: str) -> None:
    try:
        read_number(text, unit, CELL)
    except DataError as refused:
        assert "column minutes" in str(refused)  # noqa: PT017 - either outcome is right
