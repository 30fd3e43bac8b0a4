"""How many are enough: the published figures, and that so many do see the effect."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower, TTestPower

from clairkit.errors import UsageError
from clairkit.statistics.estimates import Estimate
from clairkit.statistics.sample_size import (
    needed,
    prompts_for_win_rate,
    rows_for_effect,
)
from clairkit.statistics.win_rate import mean_share


@pytest.mark.parametrize(("win_rate", "n"), [(0.55, 784), (0.6, 196), (0.65, 87), (0.7, 49)])
def test_what_n_buys(win_rate: float, n: int) -> None:
    assert prompts_for_win_rate(win_rate) == n
    assert prompts_for_win_rate(1 - win_rate) == n


def test_it_is_the_normal_power_calculation() -> None:
    oracle = NormalIndPower(ddof=0).solve_power(0.1, alpha=0.05, power=0.8, ratio=0)
    assert rows_for_effect(1.0, 0.1) == int(oracle)
    oracle = TTestPower().solve_power(0.1, alpha=0.1, power=0.9)
    assert rows_for_effect(1.0, -0.1, level=0.9, power=0.9) == pytest.approx(oracle, abs=2)


def test_so_many_prompts_see_a_win_rate_of_sixty_percent_four_times_in_five() -> None:
    n = prompts_for_win_rate(0.6)
    wins = np.random.default_rng(0).binomial(n, 0.6, size=20_000) / n
    error = (wins * (1 - wins) / n) ** 0.5
    assert (wins - 1.959964 * error > 0.5).mean() == pytest.approx(0.8, abs=0.03)


def seen(estimate: float, error: float, n: int) -> Estimate:
    return Estimate(estimate, None, error, n, n, 0.95, "")


def test_more_from_the_spread_that_was_seen() -> None:
    found = needed(seen(0.55, 0.5 / 100**0.5, 100), 0.5)
    assert found.total == 784
    assert found.more == 684
    assert found.effect == pytest.approx(0.05)
    # A known smallest effect takes the place of the one seen.
    assert needed(seen(0.55, 0.05, 100), 0.5, effect=0.1).more == 96
    assert needed(seen(0.7, 0.05, 100), 0.5).more == 0


def test_clusters_and_ties_count_as_they_were_seen() -> None:
    values = [1.0, 0.0, 1.0] * 20
    alone = needed(mean_share(values), 0.5).total
    five_times = needed(mean_share(values * 5, [*range(60)] * 5), 0.5).total
    assert alone is not None
    assert five_times == pytest.approx(5 * alone, rel=0.01)
    with_ties = needed(mean_share([*values, *[0.5] * 60]), 0.5).total
    assert with_ties is not None
    assert with_ties > alone


@pytest.mark.parametrize(
    "found",
    [
        seen(0.5, 0.05, 100),
        seen(0.6, 0.0, 100),
        seen(float("nan"), 0.05, 100),
        seen(float("inf"), float("nan"), 100),
    ],
)
def test_no_effect_or_no_spread_is_no_number(found: Estimate) -> None:
    assert needed(found, 0.5).total is None
    assert needed(found, 0.5).more is None


def test_wrong_arguments_are_named() -> None:
    for wrong in (0.5, 1.2):
        with pytest.raises(UsageError, match="differ from 1/2"):
            prompts_for_win_rate(wrong)
    with pytest.raises(UsageError, match="effect of 0"):
        rows_for_effect(1.0, 0.0)
    with pytest.raises(UsageError, match="level must lie"):
        rows_for_effect(1.0, 1.0, power=1.0)
