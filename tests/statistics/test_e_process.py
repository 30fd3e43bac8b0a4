"""The e-process: its formula, what one may do with it, and that looking often costs nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gammaln
from scipy.stats import binom

from clairkit.errors import UsageError
from clairkit.statistics.e_process import evidence, first_votes, log_e_value


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (9, 1), (30, 20), (3, 40)])
def test_it_is_the_likelihood_ratio_averaged_over_all_coins(wins: int, losses: int) -> None:
    mixture, _ = quad(lambda p: p**wins * (1 - p) ** losses, 0, 1, epsabs=0, epsrel=1e-10)
    expected = mixture / 0.5 ** (wins + losses)
    assert math.exp(log_e_value(wins, losses)) == pytest.approx(expected, rel=1e-8)
    assert evidence(wins, losses).e_value == pytest.approx(expected, rel=1e-8)


@given(st.integers(0, 500), st.integers(0, 500))
def test_its_mean_after_one_more_vote_is_itself(wins: int, losses: int) -> None:
    after = (log_e_value(wins + 1, losses), log_e_value(wins, losses + 1))
    assert np.logaddexp(*after) - math.log(2) == pytest.approx(log_e_value(wins, losses))


def test_enough_and_how_many_more() -> None:
    assert str(evidence(20, 3)) == "enough, you may stop"
    assert evidence(20, 3).more == 0
    found = evidence(9, 1)
    assert not found.is_enough
    assert found.more == 3
    assert str(found) == "about 3 more"
    assert evidence(10, 10).more is None
    assert str(evidence(0, 0)) == "no lean to either side so far"


def test_the_forecast_is_right_where_votes_fall_as_before() -> None:
    for wins, losses in ((20, 10), (30, 22), (3, 1)):
        more = evidence(wins, losses).more
        assert more is not None
        factor = 1 + more / (wins + losses)
        assert log_e_value(wins * factor, losses * factor) >= math.log(20)
        factor = 1 + (more - 1) / (wins + losses)
        assert log_e_value(wins * factor, losses * factor) < math.log(20)


def test_ties_cost_labels_and_say_nothing() -> None:
    without, with_ties = evidence(20, 10), evidence(20, 10, ties=30)
    assert with_ties.log_e == without.log_e
    assert without.more is not None
    assert with_ties.more == pytest.approx(2 * without.more, abs=1)


def test_overwhelming_votes_do_not_overflow() -> None:
    assert evidence(5000, 0).e_value == math.inf
    assert evidence(5000, 0).is_enough


def test_the_first_vote_on_a_prompt_counts() -> None:
    votes = [("p", 1.0), ("q", 0.0), ("p", 0.0), ("r", 0.5), ("r", 1.0), ("s", 1.0)]
    assert first_votes(votes) == (2, 1, 1)


def looks(trials: int, votes: int, share: float = 0.5) -> np.ndarray:
    """Largest log E over looks after each vote, of each trial."""
    wins = (np.random.default_rng(4).random((trials, votes)) < share).cumsum(1)
    n = np.arange(1, votes + 1)
    log_e = gammaln(1 + wins) + gammaln(1 + n - wins) - gammaln(2 + n) + n * math.log(2)
    return np.asarray(log_e.max(1))


def test_looking_after_each_vote_raises_few_false_alarms() -> None:
    alarms = (looks(4000, 400) >= math.log(20)).mean()
    assert alarms <= 0.05
    assert (looks(500, 400, share=0.65) >= math.log(20)).mean() > 0.95


def test_a_fixed_level_test_at_each_look_is_planted_and_fails() -> None:
    wins = (np.random.default_rng(4).random((300, 400)) < 0.5).cumsum(1)
    n = np.arange(1, 401)
    p_values = 2 * binom.sf(np.maximum(wins, n - wins) - 1, n, 0.5)
    rejected = (p_values < 0.05).any(1).mean()
    assert rejected > 0.2


@pytest.mark.long
def test_false_alarms_of_many_looks_are_below_the_level() -> None:
    alarms = (looks(20_000, 1000) >= math.log(20)).mean()
    print(f"e-process, 1,000 looks: {100 * alarms:.2f} % false alarms")  # noqa: T201 - the figure
    assert alarms <= 0.05


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="counts from 0 on"):
        evidence(-1, 3)
    with pytest.raises(UsageError, match="alpha"):
        evidence(1, 3, alpha=1.0)
