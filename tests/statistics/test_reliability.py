"""Agreement: the published values, statsmodels' kappa, and the cases without any spread."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa, to_table

from clairkit.errors import UsageError
from clairkit.statistics.estimates import Resampling
from clairkit.statistics.reliability import (
    cohen_kappa,
    krippendorff_alpha,
)

QUICK = Resampling(draws=200)


def units(*raters: str) -> list[list[int | None]]:
    """Ratings by unit from one line of digits a rater; a dot is a missing rating."""
    rows = [[None if mark == "." else int(mark) for mark in rater] for rater in raters]
    return [list(unit) for unit in zip(*rows, strict=True)]


# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): its examples A, B and C.
BINARY = units("0100000000", "1110010010")
LETTERS = [list(pair) for pair in zip("aabbdcccedda", "babbbccceddd", strict=True)]
FOUR_RATERS = units("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


@pytest.mark.parametrize(
    ("ratings", "alpha"), [(BINARY, 0.095), (LETTERS, 0.692), (FOUR_RATERS, 0.743)]
)
def test_alpha_as_published(ratings: list[list[object]], alpha: float) -> None:
    found = krippendorff_alpha(ratings, QUICK)  # type: ignore[arg-type]  # hashable
    assert found.value == pytest.approx(alpha, abs=5e-4)


def test_alpha_of_two_raters_by_hand() -> None:
    """Ten units, two raters: both 0 on five, both 1 on one, and four on which they differ."""
    found = krippendorff_alpha(BINARY, resampling=QUICK)
    # 14 zeros and 6 ones of 20: expected 14 * 6 * 2 / 19, observed 2 * 4.
    assert found.value == pytest.approx(1 - 8 / (2 * 14 * 6 / 19), rel=1e-12)
    assert found.agreement == pytest.approx(0.6)
    assert (found.units, found.ratings) == (10, 20)


def test_a_unit_with_one_rating_says_nothing_of_agreement() -> None:
    more = [*FOUR_RATERS, [5, None, None, None], [None] * 4]
    assert krippendorff_alpha(more, resampling=QUICK) == krippendorff_alpha(
        FOUR_RATERS, resampling=QUICK
    )


def test_perfect_and_constant() -> None:
    perfect = krippendorff_alpha([[1, 1], [0, 0]] * 10, resampling=QUICK)
    assert perfect.value == 1
    constant = krippendorff_alpha([[1, 1]] * 10, resampling=QUICK)
    assert (constant.value, constant.interval, constant.agreement) == (None, None, 1.0)


def two_raters(n: int = 120) -> tuple[list[int], list[int]]:
    generator = np.random.default_rng(2)
    first = generator.integers(0, 3, size=n)
    second = np.where(generator.random(n) < 0.7, first, generator.integers(0, 3, size=n))
    return first.tolist(), second.tolist()


def test_kappa_is_that_of_statsmodels() -> None:
    first, second = two_raters()
    table, _ = to_table(np.column_stack([first, second]))
    oracle = cohens_kappa(table)
    found = cohen_kappa(first, second)
    assert found.value == pytest.approx(oracle.kappa, rel=1e-9)
    assert found.agreement == pytest.approx(np.mean(np.array(first) == second))
    assert found.interval is not None
    assert found.interval.low == pytest.approx(oracle.kappa_low, abs=0.02)
    assert found.interval.high == pytest.approx(oracle.kappa_upp, abs=0.02)


def test_kappa_without_spread_is_undefined() -> None:
    assert cohen_kappa(["a"] * 9, ["a"] * 9).value is None
    assert cohen_kappa(["a", "b"], ["a", "b"]).interval is None  # fewer than five units


def test_intervals_hold_the_truth() -> None:
    """Agreement of 0.7 + 0.3 / 3 on three values: kappa and alpha are 0.7."""
    held = [0, 0]
    for seed in range(200):
        generator = np.random.default_rng(seed)
        first = generator.integers(0, 3, size=60)
        second = np.where(generator.random(60) < 0.7, first, generator.integers(0, 3, size=60))
        draws = Resampling(draws=300, seed=seed)
        pairs = np.column_stack([first, second]).tolist()
        both = (
            cohen_kappa(first.tolist(), second.tolist(), draws),
            krippendorff_alpha(pairs, resampling=draws),
        )
        for at, found in enumerate(both):
            held[at] += found.interval is not None and 0.7 in found.interval
    assert all(0.92 <= each / 200 <= 0.98 for each in held)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="unit with two ratings"):
        krippendorff_alpha([[1, None], [2]])
    with pytest.raises(UsageError, match="same units"):
        cohen_kappa([1], [1, 2])
