"""Changes by arm and by prompt: against scipy's t-tests, statsmodels and Newcombe's interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from clairkit.errors import UsageError
from clairkit.intervals import paired_difference
from clairkit.statistics.change import Change, mean_change, paired_binary_change
from clairkit.statistics.estimates import Note


def two_arms(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.lognormal(1.0, 0.5, 40), generator.lognormal(1.1, 0.5, 25)


def stacked(*arms: np.ndarray) -> tuple[list[float], list[bool]]:
    """Both arms as rows, the baseline first."""
    baseline, candidate = arms
    values = [*baseline.tolist(), *candidate.tolist()]
    return values, [False] * len(baseline) + [True] * len(candidate)


def test_independent_arms_are_welch_s_t_test() -> None:
    baseline, candidate = two_arms()
    oracle = stats.ttest_ind(candidate, baseline, equal_var=False)
    found = mean_change(*stacked(baseline, candidate))
    low, high = oracle.confidence_interval(0.95)
    assert found.bounds(0.025) == (pytest.approx(low), pytest.approx(high))
    assert found.dof == pytest.approx(oracle.df)
    assert 2 * found.p_value(0.0) == pytest.approx(oracle.pvalue)


def test_the_same_prompts_in_both_arms_are_a_paired_t_test() -> None:
    baseline, candidate = two_arms()[0], two_arms(3)[0]
    oracle = stats.ttest_rel(candidate, baseline)
    values, arm = stacked(baseline, candidate)
    found = mean_change(values, arm, [*range(40), *range(40)])
    low, high = oracle.confidence_interval(0.95)
    assert found.bounds(0.025) == (pytest.approx(low), pytest.approx(high))
    assert found.dof == 39


def test_clusters_are_statsmodels_sandwich() -> None:
    baseline, candidate = two_arms()
    values, arm = stacked(baseline, candidate)
    groups = np.random.default_rng(0).integers(0, 12, size=65)
    oracle = sm.OLS(values, sm.add_constant(np.array(arm, dtype=float))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    found = mean_change(values, arm, groups.tolist())
    sizes = np.bincount(groups)
    effective = sizes.sum() ** 2 / (sizes**2).sum()
    factor = (effective / (effective - 1)) ** 0.5
    assert found.estimate == pytest.approx(oracle.params[1])
    assert found.standard_error == pytest.approx(oracle.bse[1] * factor, rel=1e-9)


def test_right_answers_without_clusters_are_newcombe_s() -> None:
    before = [True] * 36 + [False] * 12 + [True] * 2
    after = [True] * 36 + [True] * 12 + [False] * 2
    found, oracle = paired_binary_change(before, after), paired_difference(before, after)
    assert found.estimate == oracle.estimate
    assert found.bounds(0.025) == (pytest.approx(oracle.low), pytest.approx(oracle.high))
    assert found.bounds(0.025) == (pytest.approx(0.0569, abs=6e-5), pytest.approx(0.3404, abs=6e-5))


def test_right_answers_five_times_over_are_those_of_their_clusters() -> None:
    generator = np.random.default_rng(1)
    before = generator.random(40) < 0.6
    after = generator.random(40) < 0.7
    alone = paired_binary_change(before.tolist(), after.tolist(), list(range(40)))
    copied = paired_binary_change(
        np.repeat(before, 5).tolist(),
        np.repeat(after, 5).tolist(),
        np.repeat(range(40), 5).tolist(),
    )
    assert copied.standard_error == pytest.approx(alone.standard_error)
    # 40 copied prompts count as 39: the small-sample factor.
    assert copied.bounds(0.025) == pytest.approx(alone.bounds(0.025), abs=0.005)
    rows = paired_binary_change(np.repeat(before, 5).tolist(), np.repeat(after, 5).tolist())
    assert rows.bounds(0.025)[0] > copied.bounds(0.025)[0] + 0.05


def test_no_prompt_changed_keeps_a_width() -> None:
    right = [True] * 50 + [False] * 10
    for labels in (None, [at % 12 for at in range(60)]):
        found = paired_binary_change(right, right, labels)
        low, high = found.bounds(0.025)
        assert found.estimate == 0
        assert low < -0.02 < 0.02 < high
        assert not found.is_too_few


def test_p_value_is_where_the_bound_meets_the_threshold() -> None:
    before = [True] * 60 + [False] * 40
    after = [True] * 52 + [False] * 8 + [True] * 10 + [False] * 30
    found = paired_binary_change(before, after)
    for threshold in (-0.1, -0.05, 0.0, 0.05, 0.2):
        p = found.p_value(threshold)
        end = found.bounds(p)[0] if p <= 0.5 else found.bounds(1 - p)[1]
        assert end == pytest.approx(threshold, abs=1e-6)
    p_values = [found.p_value(threshold) for threshold in (-0.3, -0.1, 0.0, 0.1)]
    assert p_values == sorted(p_values)


@pytest.mark.parametrize(
    ("values", "labels", "note"),
    [
        ([1.0, 2.0], None, Note.ONE_CLUSTER),
        ([1.0, 2.0, 3.0, 4.0], ["a"] * 4, Note.ONE_CLUSTER),
        ([2.0] * 8, None, Note.ALL_EQUAL),
        ([0.1, 0.1, 0.1, 0.2, 0.2, 0.2], None, Note.ALL_EQUAL),
    ],
)
def test_too_few_is_said(values: list[float], labels: list[str] | None, note: Note) -> None:
    half = len(values) // 2
    found = mean_change(values, [False] * half + [True] * half, labels)
    assert found.is_too_few
    assert found.to_estimate(0.95, "").notes == (Note.TOO_FEW, note)
    assert found.p_value(0.0) == 1.0
    assert found.bounds(0.05) == (-math.inf, math.inf)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="rows of both arms"):
        mean_change([1.0, 2.0], [True, True])
    with pytest.raises(UsageError, match="one arm a row"):
        mean_change([1.0, 2.0], [True])
    with pytest.raises(UsageError, match="same prompts"):
        paired_binary_change([True], [True, False])
    with pytest.raises(UsageError, match="at least one row"):
        paired_binary_change([], [])


def test_a_change_without_spread_stays_open() -> None:
    assert Change(0.1, 0.0, 5.0, 6, 6).is_too_few
