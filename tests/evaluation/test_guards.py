"""Guards: what they rest on, and that no average buys one off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from clairkit.evaluation.guards import (
    GuardSpec,
    check_change,
    guard_rows,
    judge_change,
    kpi_guard_change,
)
from clairkit.intervals import paired_difference
from clairkit.statistics.change import Change
from clairkit.statistics.utility import Kpi


def spec(name: str, margin: float = 0.04) -> GuardSpec:
    return GuardSpec(name, "check", "python:mine:right", margin)


def test_right_and_wrong_have_newcombes_paired_bounds() -> None:
    generator = np.random.default_rng(0)
    before, after = generator.random((2, 300)) < 0.8
    found = check_change(before.astype(float).tolist(), after.astype(float).tolist())
    oracle = paired_difference(before.tolist(), after.tolist(), 0.95)
    assert found.bounds(0.025) == (pytest.approx(oracle.low), pytest.approx(oracle.high))


def test_scores_between_have_the_paired_t_bound() -> None:
    generator = np.random.default_rng(1)
    before, after = generator.random((2, 80))
    found = check_change(before.tolist(), after.tolist())
    oracle = stats.ttest_rel(after, before).confidence_interval(0.9)
    assert found.bounds(0.05) == (pytest.approx(oracle.low), pytest.approx(oracle.high))
    assert (found.n, found.clusters) == (80, 80)


def test_a_judges_guard_is_the_win_share_minus_one_half() -> None:
    scores = np.random.default_rng(2).choice([0, 0.5, 1], size=90)
    found = judge_change(scores.tolist())
    low = stats.ttest_1samp(scores, 0.5).confidence_interval(0.9).low
    assert found.estimate == pytest.approx(scores.mean() - 0.5)
    assert found.bounds(0.05)[0] + 0.5 == pytest.approx(low)


@pytest.mark.parametrize(("score", "status"), [(0.5, "holds"), (1.0, "holds"), (0.0, "violated")])
def test_many_equal_scores_are_evidence(score: float, status: str) -> None:
    (row,) = guard_rows("new", [(spec("tone"), judge_change([score] * 200), "points")])
    assert row.result.status == status
    assert row.result.guard.change.n == 200


def test_one_cluster_says_nothing() -> None:
    (row,) = guard_rows("new", [(spec("tone"), judge_change([0.5] * 9, ["x"] * 9), "points")])
    assert row.result.status == "undecided"
    assert row.to_json()["lower"] is None
    assert row.reason.endswith("too few to say")


def test_a_kpi_counts_in_its_direction() -> None:
    values, arm = [1.0, 2.0, 3.0, 5.0, 6.5, 7.0], [False] * 3 + [True] * 3
    more, less = (
        kpi_guard_change(Kpi("k", "min", higher, 1.0, 1.0, values, arm)) for higher in (True, False)
    )
    assert more.estimate == -less.estimate == pytest.approx(37 / 6 - 2)


def test_holm_over_guards_and_no_average_buys_one_off() -> None:
    gain = Change(0.9, 0.001, math.inf, 500, 500)
    loss = Change(-0.3, 0.01, math.inf, 500, 500)
    open_ = Change(-0.02, 0.02, math.inf, 500, 500)
    measured = [(spec("a"), gain, "points"), (spec("b"), loss, "points"), (spec("c"), open_, "min")]
    rows = guard_rows("new", measured)
    assert [row.result.status for row in rows] == ["holds", "violated", "undecided"]
    assert [row.passes for row in rows] == [True, False, False]
    # The smallest p-value is bounded at 1 - 0.05 / 3, the next at 1 - 0.05 / 2.
    assert rows[0].to_json()["level"] == pytest.approx(1 - 0.05 / 3)
    assert rows[2].to_json()["level"] == pytest.approx(1 - 0.05 / 2)
    assert rows[1].reason == (
        "b changed by -30.0 points, lower bound -31.6 points, margin 4.0 points: "
        "worse than the margin allows"
    )
    assert rows[2].reason.endswith("a loss beyond the margin is not excluded")


@pytest.mark.slow
@pytest.mark.parametrize(("ties", "most"), [(0.2, 0.065), (0.9, 0.105)])
@pytest.mark.parametrize("n", [20, 200])
def test_a_judges_guard_at_its_margin_seldom_passes(n: int, ties: float, most: float) -> None:
    """A candidate that is worse by exactly the margin passes in about 5 of 100 studies.

    Where nine in ten are ties, t is off as it is for any rare event: 6 to 9 in 100.
    """
    generator = np.random.default_rng(n)
    lost = (1 - ties) * 0.8
    margin = 0.3 * (1 - ties)
    studies = 1000
    passed = 0
    for _ in range(studies):
        scores = generator.choice([0, 0.5, 1], p=[lost, ties, 1 - ties - lost], size=n).tolist()
        (row,) = guard_rows("new", [(spec("tone", margin), judge_change(scores), "points")])
        passed += row.passes
    assert passed / studies <= most
