"""The range of a total: closed forms, and how often it holds the truth."""

from __future__ import annotations

import math
import random

import pytest

from clairkit.generation.cost.estimate import CostRange, predict_total


def test_a_constant_ratio_leaves_no_doubt() -> None:
    assert predict_total([(2, 1), (6, 3), (10, 5)], 100, 20) == CostRange(200, 200, 200)


def test_equal_sizes_give_the_interval_of_a_mean() -> None:
    """With all m = 1 it is the textbook prediction interval: N y, t s sqrt(N^2 / n + N)."""
    values = [3.0, 5.0, 10.0, 6.0]
    mean = sum(values) / 4
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / 3)
    half = 3.18245 * spread * math.sqrt(50**2 / 4 + 50)
    made = predict_total([(value, 1.0) for value in values], 50, 50)
    assert made.estimate == pytest.approx(50 * mean)
    assert made.high == pytest.approx(50 * mean + half, rel=1e-5)
    assert made.low == max(0.0, made.low)


def test_nothing_left_takes_nothing() -> None:
    assert predict_total([(1, 2), (3, 2)], 0, 0) == CostRange(0, 0, 0)


def test_one_unit_shows_no_spread() -> None:
    with pytest.raises(ValueError, match="two measured"):
        predict_total([(1, 1)], 5, 5)


@pytest.mark.parametrize("probes", [10, 30])
def test_ranges_hold_the_truth_about_as_often_as_they_say(probes: int) -> None:
    """Skewed sizes, as token counts are. 95 % is claimed, and nearly reached."""
    held = 0
    for seed in range(400):
        draw = random.Random(seed)
        sizes = [draw.lognormvariate(5.8, 0.6) + 250 for _ in range(300)]
        took = [0.9 * size * draw.lognormvariate(0, 0.35) for size in sizes]
        made = predict_total(
            list(zip(took[:probes], sizes[:probes], strict=True)),
            sum(sizes[probes:]),
            300 - probes,
        )
        held += made.low <= sum(took[probes:]) <= made.high
    assert 0.90 <= held / 400 <= 0.98
