"""Intervals: published worked values, exact coverage by enumeration, and what must hold always."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import UsageError
from clairkit.intervals import (
    Difference,
    Interval,
    mean_interval,
    newcombe,
    paired_difference,
    wilson,
)


def table(both: int, gained: int, lost: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Before and after of a 2 x 2 table of pairs."""
    before = [True] * both + [False] * gained + [True] * lost + [False] * neither
    after = [True] * both + [True] * gained + [False] * lost + [False] * neither
    return before, after


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17:857-872 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(successes: int, n: int, low: float, high: float) -> None:
    found = wilson(successes, n)
    assert found.low == pytest.approx(low, abs=6e-5)
    assert found.high == pytest.approx(high, abs=6e-5)


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17:2635-2650 (1998), method 10.
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((18, 12, 2, 18), 0.0562, 0.3290),
        ((53, 0, 0, 1), -0.0729, 0.0729),
        ((0, 30, 0, 0), 0.8395, 1.0000),
    ],
)
def test_paired_difference_as_published(
    cells: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = paired_difference(*table(*cells))
    both, gained, lost, neither = cells
    assert found.estimate == pytest.approx((gained - lost) / (both + gained + lost + neither))
    assert (found.gained, found.lost) == (gained, lost)
    assert found.low == pytest.approx(low, abs=6e-5)
    assert found.high == pytest.approx(high, abs=6e-5)


def test_counts_need_not_be_whole() -> None:
    """Half of each cell is as sure as half the pairs; the quantile of 95 % is the default."""
    cells = (36.0, 12.0, 2.0, 0.0)
    whole = paired_difference(*table(36, 12, 2, 0))
    assert newcombe(cells, 1.959964) == (pytest.approx(whole.low), pytest.approx(whole.high))
    half_whole = paired_difference(*table(18, 6, 1, 0))
    assert newcombe((18.0, 6.0, 1.0, 0.0), 1.959964) == pytest.approx(
        (half_whole.low, half_whole.high)
    )
    low, high = newcombe(cells, 3.0)
    assert low < whole.low < whole.high < high
    assert wilson(7.5, 15.0, quantile=1.959964).low == pytest.approx(
        (wilson(7, 15).low + wilson(8, 15).low) / 2, abs=1e-3
    )


def binomial(n: int, share: float) -> list[float]:
    return [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]


def test_wilson_covers_as_often_as_it_says() -> None:
    shares = [at / 50 for at in range(1, 50)]
    found = [wilson(k, 40) for k in range(41)]
    coverage = [
        sum(
            weight
            for weight, interval in zip(binomial(40, share), found, strict=True)
            if share in interval
        )
        for share in shares
    ]
    assert 0.945 < sum(coverage) / len(coverage) < 0.965
    assert min(coverage) > 0.90


def multinomial_coverage(n: int, cells: tuple[float, float, float]) -> float:
    """The exact probability that the interval holds the true difference."""
    both, gained, lost = cells
    neither = 1 - both - gained - lost
    covered = 0.0
    for a, b, c in product(range(n + 1), repeat=3):
        if (d := n - a - b - c) < 0:
            continue
        found = paired_difference(*table(a, b, c, d))
        if found.low <= gained - lost <= found.high:
            ways = math.factorial(n) // math.prod(map(math.factorial, (a, b, c, d)))
            covered += ways * both**a * gained**b * lost**c * neither**d
    return covered


@pytest.mark.parametrize(
    "cells",
    [(0.4, 0.1, 0.1, 0.4), (0.3, 0.3, 0.1, 0.3), (0.6, 0.25, 0.05, 0.1), (0.2, 0.2, 0.2, 0.4)],
)
def test_paired_difference_covers_as_often_as_it_says(
    cells: tuple[float, float, float, float],
) -> None:
    assert 0.935 < multinomial_coverage(20, cells[:3]) < 0.985


COUNTS = st.tuples(*[st.integers(0, 30)] * 4).filter(any)


@given(COUNTS)
def test_what_holds_of_every_difference(cells: tuple[int, int, int, int]) -> None:
    before, after = table(*cells)
    found = paired_difference(before, after)
    assert -1 <= found.low <= found.estimate <= found.high <= 1
    assert found.high > found.low
    turned = paired_difference(after, before)
    assert turned.estimate == -found.estimate
    assert turned.low == pytest.approx(-found.high)
    assert turned.high == pytest.approx(-found.low)
    wide = paired_difference(before, after, confidence=0.99)
    assert wide.low <= found.low
    assert wide.high >= found.high


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_what_holds_of_every_proportion(case: tuple[int, int]) -> None:
    successes, n = case
    found = wilson(successes, n)
    assert 0 <= found.low <= successes / n <= found.high <= 1
    assert (found.low == 0) == (successes == 0)
    assert (found.high == 1) == (successes == n)
    mirrored = wilson(n - successes, n)
    assert mirrored.low == pytest.approx(1 - found.high)


def test_more_prompts_narrow_the_interval() -> None:
    few, many = paired_difference(*table(4, 3, 1, 4)), paired_difference(*table(40, 30, 10, 40))
    assert few.verdict == "undecided"
    assert many.verdict == "better"
    assert many.high - many.low < few.high - few.low


def test_verdicts() -> None:
    assert paired_difference(*table(10, 0, 30, 10)).verdict == "worse"
    assert Difference(0.0, 0.0, 0.1, 9, 1, 1).verdict == "undecided"  # an end belongs to it
    assert 0.0 in Interval(0.0, 0.1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(0, 0),
        lambda: wilson(3, 2),
        lambda: wilson(-1, 2),
        lambda: wilson(1, 2, confidence=95),
        lambda: paired_difference([], []),
        lambda: paired_difference([True], [True, False]),
    ],
)
def test_what_is_refused(call: object) -> None:
    with pytest.raises(UsageError):
        call()  # type: ignore[operator]


def test_a_mean_s_interval_is_near_the_normal_one_for_many_values() -> None:
    values = [float(n % 10) for n in range(400)]  # mean 4.5, variance 8.25
    found = mean_interval(values)
    half = 1.959964 * math.sqrt(8.25 / 400)
    assert found.low == pytest.approx(4.5 - half, abs=0.04)
    assert found.high == pytest.approx(4.5 + half, abs=0.04)


def test_a_mean_s_interval_of_two_values_is_what_all_four_draws_give() -> None:
    # Means 0, 1/2, 1/2, 1, each of probability 1/4: the middle 95 % hold all, the middle 40 % one.
    assert mean_interval([0.0, 1.0]) == Interval(0.0, 1.0)
    assert mean_interval([0.0, 1.0], 0.4) == Interval(0.5, 0.5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 9))
def test_a_mean_s_interval_is_reproducible_and_lies_among_the_values(
    values: list[float], seed: int
) -> None:
    found = mean_interval(values, draws=100, seed=seed)
    assert found == mean_interval(values, draws=100, seed=seed)
    assert min(values) - 1e-12 <= found.low <= found.high <= max(values) + 1e-12


def test_groups_are_drawn_whole() -> None:
    values = [0.0, 0.2, 0.9, 0.4, 1.0]
    assert mean_interval(values, groups=range(5)) == mean_interval(values)
    assert mean_interval(values, groups=["a"] * 5) == Interval(0.5, 0.5)
    # Ten copies of each value say no more than the values themselves.
    copies = mean_interval(values * 10, groups=[*range(5)] * 10)
    assert copies.low == pytest.approx(mean_interval(values).low)
    assert copies.high == pytest.approx(mean_interval(values).high)
    with pytest.raises(UsageError):
        mean_interval(values, groups=[1])


@pytest.mark.parametrize("arguments", [([],), ([1.0], 0.0), ([1.0], 1.0)])
def test_a_mean_s_interval_refuses_what_has_none(arguments: tuple[object, ...]) -> None:
    with pytest.raises(UsageError):
        mean_interval(*arguments)  # type: ignore[arg-type]
