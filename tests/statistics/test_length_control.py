"""Win rate at equal length: against statsmodels' clustered GLM, and where wins follow length."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import expit
from simulated import FIVES, draw_prompts, lengths, scores

from clairkit.errors import UsageError
from clairkit.statistics.clusters import cluster
from clairkit.statistics.estimates import Note, Resampling
from clairkit.statistics.length_control import length_controlled_win_rate
from clairkit.statistics.length_model import LengthModel

QUICK = Resampling(draws=200)


def some_prompts(n: int = 300) -> tuple[list[float], list[float], list[int]]:
    generator = np.random.default_rng(3)
    prompts = draw_prompts(n, FIVES, generator)
    differences = lengths(prompts, generator)
    seen = scores(expit(0.3 + 0.9 * np.tanh(differences / 200)), prompts, generator)
    return seen.tolist(), differences.tolist(), prompts.labels


def test_without_prior_it_is_statsmodels_clustered_glm() -> None:
    seen, differences, labels = some_prompts()
    x = np.tanh(np.array(differences) / np.std(differences))
    oracle = sm.GLM(seen, np.column_stack([np.ones(300), x]), family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(labels), "use_correction": False}
    )
    found = length_controlled_win_rate(seen, differences, labels, QUICK, length_effect_sd=math.inf)
    share = expit(oracle.params[0])
    assert found.estimate.estimate == pytest.approx(share, rel=1e-7)
    assert found.estimate.standard_error == pytest.approx(
        share * (1 - share) * oracle.bse[0], rel=1e-6
    )
    assert found.length_effect.estimate == pytest.approx(oracle.params[1], rel=1e-7)
    assert found.length_effect.standard_error == pytest.approx(oracle.bse[1], rel=1e-6)
    assert found.scale == pytest.approx(np.std(differences))


def test_with_prior_it_is_the_penalised_maximum() -> None:
    seen, differences, labels = some_prompts(60)
    x, s = np.tanh(np.array(differences) / np.std(differences)), np.array(seen)

    def loss(at: np.ndarray) -> float:
        p = expit(at[0] + at[1] * x)
        return float(-(s * np.log(p) + (1 - s) * np.log(1 - p)).sum() + at[1] ** 2 / 2 / 2.5**2)

    oracle = minimize(loss, [0.0, 0.0], tol=1e-12).x
    found = length_controlled_win_rate(seen, differences, labels, QUICK)
    assert found.estimate.estimate == pytest.approx(expit(oracle[0]), abs=1e-6)
    assert found.length_effect.estimate == pytest.approx(oracle[1], abs=1e-5)


def test_the_prior_moves_sixty_prompts_by_little() -> None:
    seen, differences, labels = some_prompts(60)
    with_prior = length_controlled_win_rate(seen, differences, labels, QUICK)
    without = length_controlled_win_rate(seen, differences, labels, QUICK, length_effect_sd=1e9)
    moved = abs(with_prior.estimate.estimate - without.estimate.estimate)
    assert moved < 0.1 * without.estimate.standard_error


def test_draws_fitted_together_are_those_fitted_alone() -> None:
    seen, differences, labels = some_prompts(60)
    groups = cluster(labels, 60)
    model = LengthModel(np.array(seen), np.array(differences), groups, 0.16)
    counts = np.random.default_rng(0).multinomial(groups.count, [1 / 12] * 12, size=5).astype(float)
    together = model.fit(counts)
    for at, row in enumerate(counts):
        alone = model.fit(row[None])
        assert alone.theta[0] == pytest.approx(together.theta[at], abs=1e-9)
        assert alone.errors[0] == pytest.approx(together.errors[at], abs=1e-9)
        # And what repeats each drawn cluster's rows by hand.
        repeated = [
            (s, d)
            for s, d, c in zip(seen, differences, groups.codes, strict=True)
            for _ in range(int(row[c]))
        ]
        by_hand = LengthModel(
            np.array([s for s, _ in repeated]),
            np.array([d for _, d in repeated]),
            cluster(None, len(repeated)),
            0.16,
        ).fit()
        assert by_hand.theta[0] == pytest.approx(together.theta[at], abs=1e-8)


def test_the_interval_has_the_width_of_what_was_fitted() -> None:
    """The trap: an interval at fixed phi has no width in the simplest model."""
    seen, differences, labels = some_prompts()
    found = length_controlled_win_rate(seen, differences, labels)
    assert found.estimate.interval is not None
    assert found.plain.interval is not None
    width = found.estimate.interval.high - found.estimate.interval.low
    assert width >= found.plain.interval.high - found.plain.interval.low


def test_a_win_by_length_alone_is_none_at_equal_length() -> None:
    """Longer answers always win, and the candidate writes longer ones more often."""
    differences = [float(d) for d in range(-20, 41) if d]
    found = length_controlled_win_rate([float(d > 0) for d in differences], differences)
    assert found.plain.estimate == pytest.approx(2 / 3)
    assert abs(found.estimate.estimate - 0.5) < 0.1
    assert found.estimate.interval is not None
    assert 0.5 in found.estimate.interval
    assert found.length_effect.notes == (Note.LENGTH_DECIDES,)
    assert found.length_effect.interval is None


def test_equal_lengths_leave_the_plain_win_rate() -> None:
    seen, _, labels = some_prompts(60)
    for same in (0.0, 0.1, 300.0):
        found = length_controlled_win_rate(seen, [same] * 60, labels, QUICK)
        assert found.estimate.estimate == found.plain.estimate
        assert found.estimate.interval == found.plain.interval
        assert Note.LENGTH_IS_CONSTANT in found.estimate.notes


@pytest.mark.parametrize("win", [0.0, 1.0])
def test_all_wins_have_the_interval_of_the_plain_win_rate(win: float) -> None:
    found = length_controlled_win_rate([win] * 60, list(range(60)))
    assert found.estimate.estimate == win
    assert found.estimate.interval == found.plain.interval


def test_one_loss_in_sixty_is_worth_no_more_than_without_length_control() -> None:
    differences = [float(d) for d in range(-30, 31) if d]
    found = length_controlled_win_rate([0.0] + [1.0] * 59, differences)
    assert found.estimate.interval is not None
    assert found.plain.interval is not None
    assert found.estimate.interval.low < 0.95
    assert found.estimate.estimate in found.estimate.interval


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_prompts_are_defined(n: int) -> None:
    found = length_controlled_win_rate([1.0, 0.0, 1.0][:n], [3.0, 1.0, -2.0][:n])
    interval = found.estimate.interval
    assert interval is None if n == 1 else interval is not None
    if interval is not None:
        assert 0 <= interval.low < interval.high <= 1
        assert interval.high - interval.low > 0.5


def test_lengths_must_match() -> None:
    with pytest.raises(UsageError, match="one length difference a prompt"):
        length_controlled_win_rate([1.0, 0.0], [1.0])
    with pytest.raises(UsageError, match="finite"):
        length_controlled_win_rate([1.0, 0.0], [1.0, math.nan])
