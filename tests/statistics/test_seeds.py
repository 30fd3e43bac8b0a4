"""Seeds: what several training runs say together, and what one of them would have claimed."""

from __future__ import annotations

import numpy as np
import pytest

from clairkit.errors import UsageError
from clairkit.statistics.estimates import Note, Resampling
from clairkit.statistics.seeds import SeedVerdict, seed_spread
from clairkit.statistics.win_rate import mean_share


def runs(change: float, between: float, seeds: int = 3, n: int = 200, draw: int = 0) -> np.ndarray:
    """Changes of each seed and prompt: seeds differ by `between`, prompts share most of theirs."""
    generator = np.random.default_rng([draw, seeds, n])
    prompts = generator.normal(0, 0.3, size=n)
    own = generator.normal(0, 0.2, size=(seeds, n))
    return change + generator.normal(0, between, size=(seeds, 1)) + prompts + own


def test_mean_sd_and_range_by_hand() -> None:
    found = seed_spread([[0.1, 0.3], [0.2, 0.0], [0.4, 0.2]])
    assert found.means == pytest.approx((0.2, 0.1, 0.3))
    assert found.estimate.estimate == pytest.approx(0.2)
    assert found.deviation == pytest.approx(0.1)
    assert found.range == pytest.approx((0.1, 0.3))


def test_a_clear_gain_of_all_seeds() -> None:
    found = seed_spread(runs(0.3, 0.02))
    assert found.verdict is SeedVerdict.BETTER
    assert not found.is_within_spread
    assert seed_spread(-runs(0.3, 0.02)).verdict is SeedVerdict.WORSE


def test_smaller_than_the_spread_between_seeds() -> None:
    """The best seed alone would have been called a gain."""
    changes = np.array([[0.06], [0.01], [-0.05]]) + runs(0.0, 0.0)
    changes -= changes.mean() - 0.01
    best = mean_share(np.clip(changes[0] + 0.56, 0, 1)).interval
    found = seed_spread(changes)
    assert best is not None
    assert best.low > 0.5
    assert found.verdict is SeedVerdict.WITHIN_SPREAD
    assert str(found.verdict) == "smaller than the spread between seeds"


def test_open_where_prompts_are_few() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 1, size=30)
    found = seed_spread([noise - noise.mean() + 0.1 + at / 1000 for at in range(3)])
    assert found.verdict is SeedVerdict.UNDECIDED


def test_prompts_are_the_same_for_all_seeds() -> None:
    """Seeds that answer alike are no further prompts."""
    prompts = np.random.default_rng(1).normal(size=100)
    one = np.std(prompts) / 10
    found = seed_spread([prompts] * 8, resampling=Resampling(draws=8000))
    assert found.prompts_error == pytest.approx(one)
    assert found.estimate.standard_error == pytest.approx(one, rel=0.03)


def test_clusters_widen() -> None:
    values = np.repeat(runs(0.1, 0.0, n=40), 5, axis=1)
    rows = seed_spread(values)
    named = seed_spread(values, np.repeat(range(40), 5).tolist())
    assert named.estimate.clusters == 40
    assert named.prompts_error == pytest.approx(5**0.5 * rows.prompts_error)


def test_the_standard_error_is_that_of_both_sources() -> None:
    values = runs(0.1, 0.1, seeds=10, n=400)
    found = seed_spread(values, resampling=Resampling(draws=8000))
    between = values.mean(1).var(ddof=1) / 10
    expected = (between + found.prompts_error**2) ** 0.5
    assert found.estimate.standard_error == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("between", [0.0, 0.1])
def test_intervals_of_three_seeds_hold_the_truth(between: float) -> None:
    held = 0
    for draw in range(200):
        values = runs(0.1, between, n=60, draw=draw)
        interval = seed_spread(values, resampling=Resampling(draws=300)).estimate.interval
        held += interval is not None and 0.1 in interval
    assert held / 200 > 0.92


def test_one_seed_is_too_few() -> None:
    found = seed_spread([[0.1, 0.2, 0.3]])
    assert found.estimate.notes == (Note.TOO_FEW,)
    assert found.deviation is None
    assert found.verdict is SeedVerdict.UNDECIDED
    assert seed_spread([[0.1, 0.2], [0.3, 0.1]], ["a", "a"]).estimate.is_too_few


def test_a_seed_gives_the_same_interval() -> None:
    values = runs(0.1, 0.1)
    assert seed_spread(values) == seed_spread(values)
    assert seed_spread(values) != seed_spread(values, resampling=Resampling(seed=1))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="value for each prompt"):
        seed_spread([[0.1], [0.1, 0.2]])
    with pytest.raises(UsageError, match="finite"):
        seed_spread([[float("nan")], [0.1]])
    with pytest.raises(UsageError, match="value for each prompt"):
        seed_spread([])
