"""Win rates: against statsmodels and by hand, and in the cases where others print 100 % -+ 0."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

import numpy as np
import pytest
import statsmodels.api as sm
from simulated import FIVES, chances, draw_prompts, scores
from statsmodels.stats.proportion import proportion_confint

from clairkit.errors import UsageError
from clairkit.statistics.estimates import Note, Resampling
from clairkit.statistics.win_rate import (
    Verdict,
    mean_share,
    position_bias,
    prompt_scores,
    win_rate,
)


def both_orders(
    scores_by_prompt: list[tuple[float | None, float | None]], judge: str = "j"
) -> list[Verdict]:
    """Verdicts with the candidate first, then second, of each prompt."""
    return [
        Verdict(prompt, judge, first, score)
        for prompt, pair in enumerate(scores_by_prompt)
        for first, score in zip((True, False), pair, strict=True)
    ]


def clustered(n: int = 200) -> tuple[list[float], list[int]]:
    generator = np.random.default_rng(5)
    prompts = draw_prompts(n, FIVES, generator)
    chance, _ = chances(prompts, 0.5, generator)
    return scores(chance, prompts, generator).tolist(), prompts.labels


def test_mean_and_clustered_standard_error_are_those_of_statsmodels() -> None:
    values, labels = clustered()
    oracle = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(labels), "use_correction": False}
    )
    found = mean_share(values, labels)
    assert found.estimate == pytest.approx(oracle.params[0], rel=1e-9)
    assert found.standard_error == pytest.approx(oracle.bse[0], rel=1e-9)
    assert (found.n, found.clusters, found.level) == (200, 40, 0.95)


def test_the_interval_is_about_the_t_interval_of_the_sandwich() -> None:
    values, labels = clustered()
    oracle = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(labels)}, use_t=True
    )
    low, high = oracle.conf_int()[0]
    found = mean_share(values, labels, Resampling(draws=20000)).interval
    assert found is not None
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)


def test_a_seed_gives_the_same_interval_whichever_verdict_came_first() -> None:
    verdicts = both_orders([(1.0, 1.0), (1.0, 0.0), (0.0, 0.0), (0.5, 1.0)] * 20)
    first, second = win_rate(verdicts), win_rate(verdicts[::-1])
    assert first == second
    assert first != win_rate(verdicts, resampling=Resampling(seed=1))


def test_orders_then_judges_then_prompts_are_averaged() -> None:
    """A judge with one order, or one prompt with more judges, does not count more."""
    verdicts = [
        Verdict("p", "strict", True, 1.0),
        Verdict("p", "strict", False, 0.0),
        Verdict("p", "mild", True, 1.0),
        Verdict("q", "mild", False, 0.5),
    ]
    assert prompt_scores(verdicts) == {"p": 0.75, "q": 0.5}


def test_a_bootstrap_over_rows_is_too_narrow_and_ours_does_not_see_copies() -> None:
    """Two orders and three copies of each verdict are no new evidence."""
    values, _ = clustered(60)
    once = [Verdict(at, "j", True, round(value)) for at, value in enumerate(values)]
    copies = [
        Verdict(each.prompt, "j", first, each.score)
        for each, first, _ in itertools.product(once, (True, False), range(3))
    ]
    ours, again = win_rate(once).estimate, win_rate(copies).estimate
    assert ours is not None
    assert again == ours
    planted = mean_share([float(each.score or 0) for each in copies])  # over rows
    assert ours.interval is not None
    assert planted.interval is not None
    width = ours.interval.high - ours.interval.low
    assert planted.interval.high - planted.interval.low < 0.5 * width


def test_a_judge_that_always_says_first_wins_nothing() -> None:
    found = win_rate(both_orders([(1.0, 0.0)] * 50))
    assert found.estimate is not None
    assert found.estimate.estimate == 0.5
    assert found.estimate.is_too_few
    assert found.positions.first_wins == 1.0
    assert (found.positions.pairs, found.positions.consistent) == (50, 0)
    consistency = found.positions.consistency
    assert consistency is not None
    assert consistency.estimate == 0
    assert consistency.interval is not None
    assert consistency.interval.low == 0
    assert 0.05 < consistency.interval.high < 0.1


def test_position_bias_by_hand() -> None:
    verdicts = both_orders([(1.0, 1.0), (0.0, 0.0), (0.5, 0.5), (1.0, 0.5), (1.0, None)])
    found = position_bias(verdicts)
    assert (found.pairs, found.consistent) == (4, 3)
    # first shown: 1 0, 0 1, 1/2 1/2, 1 1/2, 1
    assert found.first_wins == pytest.approx(5.5 / 9)


def test_verdicts_that_cannot_be_parsed_are_counted_both_ways() -> None:
    found = win_rate(both_orders([(1.0, 1.0), (1.0, None), (None, None), (0.0, 0.0)]))
    assert found.estimate is not None
    assert found.estimate.estimate == pytest.approx(2 / 3)  # of three prompts with a verdict
    assert found.worst == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert found.best == pytest.approx((1 + 1 + 1 + 0) / 4)
    assert (found.unparsed, found.verdicts, found.unparsed_share) == (3, 8, 3 / 8)


def test_nothing_parsed_is_no_estimate() -> None:
    found = win_rate(both_orders([(None, None)] * 3))
    assert found.estimate is None
    assert (found.worst, found.best) == (0.0, 1.0)
    assert found.positions.consistency is None
    assert found.positions.first_wins is None


@pytest.mark.parametrize(
    ("values", "labels", "note"),
    [
        ([1.0], None, Note.ONE_CLUSTER),
        ([1.0, 0.0, 1.0], ["a", "a", "a"], Note.ONE_CLUSTER),
        ([0.5] * 30, None, Note.ALL_EQUAL),
    ],
)
def test_too_few_is_said(values: list[float], labels: list[Hashable] | None, note: Note) -> None:
    found = mean_share(values, labels)
    assert found.is_too_few
    assert found.notes == (Note.TOO_FEW, note)


@pytest.mark.parametrize("win", [0.0, 1.0])
def test_all_on_one_side_keeps_a_width(win: float) -> None:
    found = mean_share([win] * 60)
    assert found.interval is not None
    low, high = found.interval.low, found.interval.high
    wide = proportion_confint(60 * win, 60, alpha=0.05, method="wilson")
    assert low == pytest.approx(wide[0], abs=0.005)  # Student's t is a little wider
    assert high == pytest.approx(wide[1], abs=0.005)
    assert win in found.interval
    assert high - low > 0.05
    assert found.notes == (Note.ALL_ON_ONE_SIDE,)


def test_all_wins_in_few_clusters_say_less_than_in_many() -> None:
    few = mean_share([1.0] * 60, [at % 6 for at in range(60)]).interval
    many = mean_share([1.0] * 60).interval
    assert few is not None
    assert many is not None
    assert few.low < 0.6 < 0.9 < many.low


@pytest.mark.parametrize("wins", range(61))
def test_every_count_of_wins_has_an_interval_within_bounds(wins: int) -> None:
    found = mean_share([1.0] * wins + [0.0] * (60 - wins), resampling=Resampling(draws=500))
    interval = found.interval
    assert interval is not None
    assert 0 <= interval.low < interval.high <= 1
    assert wins / 60 in interval


def test_two_clusters_that_disagree_say_almost_nothing() -> None:
    found = mean_share([1.0] * 30 + [0.0] * 30, ["a"] * 30 + ["b"] * 30).interval
    assert found is not None
    assert found.low < 0.01
    assert found.high > 0.99


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match=r"between 0 and 1.*row 1"):
        mean_share([0.5, 1.5])
    with pytest.raises(UsageError, match=r"between 0 and 1.*row 0"):
        mean_share([float("nan")])
    with pytest.raises(UsageError, match="at least one"):
        mean_share([])
    with pytest.raises(UsageError, match="one cluster a row"):
        mean_share([1.0, 0.0], ["a"])
    with pytest.raises(UsageError, match="verdict's score"):
        Verdict("p", "j", True, 2.0)
    with pytest.raises(UsageError, match="at least one verdict"):
        win_rate([])
    with pytest.raises(UsageError, match="1 prompts have no cluster"):
        win_rate(both_orders([(1.0, 1.0), (1.0, 0.0)]), {0: "a"})
    with pytest.raises(UsageError, match="confidence level"):
        Resampling(level=1.0)
    with pytest.raises(UsageError, match="100 draws"):
        Resampling(draws=1)
