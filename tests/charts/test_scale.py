"""Ticks are round and inside, labels tell them apart, scales survive any float."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.charts.scale import Scale, domain, labels, number, round_step, ticks, whole_ticks

MINUS = "\N{MINUS SIGN}"
FINITE = st.floats(-1e300, 1e300)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.13, 0.42, [0.0, 0.2, 0.4]),
        (-3.2, 1.1, [-3.0, -2.0, -1.0, 0.0, 1.0]),
        (0.0, 11.0, [0.0, 2.5, 5.0, 7.5, 10.0]),
        (9990.0, 10030.0, [9990.0, 10000.0, 10010.0, 10020.0, 10030.0]),
    ],
)
def test_ticks_are_the_round_values_inside(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_whole_ticks_have_no_halves() -> None:
    assert whole_ticks(0, 11) == [0, 5, 10]
    assert whole_ticks(1, 3) == [1, 2, 3]


@given(FINITE, FINITE)
def test_any_two_ends_get_a_domain_with_few_distinct_ticks(first: float, second: float) -> None:
    low, high = domain([first, second])
    assert low < min(first, second)
    assert high > max(first, second)
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert sorted(set(found)) == found
    scale = Scale(low, high, 200.0, 10.0)
    assert all(9.9 <= scale(value) <= 200.1 for value in found)


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6))
def test_labels_tell_ticks_apart(low: float, span: float) -> None:
    if span > abs(low) * 1e-3:
        found = labels(ticks(low, low + span))
        assert len(set(found)) == len(found)
        assert not any("-" in label for label in found)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-0.5, 0.0, 0.5], [f"{MINUS}0.5", "0.0", "0.5"]),
        ([0.0, 20_000.0, 40_000.0], ["0", "20k", "40k"]),
        ([0.0, 0.0002], ["0", "0.0002"]),
        ([0.25, 0.5], ["0.25", "0.50"]),
        ([0.0, 2e6], ["0", "2e+06"]),
        ([], []),
    ],
)
def test_labels(values: list[float], expected: list[str]) -> None:
    assert labels(values) == expected


def test_an_empty_stretch_is_widened() -> None:
    assert domain([3.0, 3.0]) == pytest.approx((2.7, 3.3))
    assert domain([0.0]) == (-1.0, 1.0)
    assert domain([math.nan, math.inf]) == (0.0, 1.0)


@given(st.floats(1e-300, 1e300))
def test_a_step_is_round_and_not_below(rough: float) -> None:
    step = round_step(rough)
    assert rough * (1 - 1e-8) <= step <= rough * 2.51


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.12345, "0.123"),
        (-12.345, f"{MINUS}12.3"),
        (12345.6, "12346"),
        (0.0, "0"),
        (math.nan, "nan"),
        (2.5e-7, f"2.5e{MINUS}07"),
    ],
)
def test_numbers_for_reading(value: float, expected: str) -> None:
    assert number(value) == expected
