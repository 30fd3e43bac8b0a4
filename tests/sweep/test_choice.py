"""The choice: its rule on planted figures, and its error rates where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sweeps import RUNGS, Simulated, Truth, effect_of

from clairkit.errors import UsageError
from clairkit.statistics.estimates import FloatArray
from clairkit.sweep.choice import Candidate, Contrasts, choose, survivors
from clairkit.sweep.spec import LEAST_HALVED, SweepSpec

PROMPTS = 400


def planted(
    *means: float, seeds: int = 3, prompts: int = 200, noise: float = 0.3
) -> list[Candidate]:
    """Candidates with exactly these means, and noise that differs by setting, seed and prompt."""
    generator = np.random.default_rng(3)
    found = []
    for number, mean in enumerate(means):
        changes = generator.normal(0, 0.3, (seeds, prompts))
        found.append(Candidate(f"s{number}", changes - changes.mean() + mean))
    return found


def test_the_simplest_within_one_standard_error_of_the_best_is_chosen() -> None:
    error = Contrasts(planted(0, 0)).error(np.array([1.0, -1.0]))[0]
    best = 0.5
    found = choose(planted(0.1, best - 0.9 * error, best, 0.1, 0.12))
    assert (found.name, found.best, found.near) == ("s1", "s2", ("s1", "s2"))
    assert found.is_separable
    assert "simplest (first in sweep.yaml) of 2" in found.reason
    assert choose(planted(0.1, best - 1.1 * error, best, 0.1, 0.12)).name == "s2"


def test_what_is_no_better_than_the_base_is_not_chosen() -> None:
    found = choose(planted(-0.5, -0.1, -0.5))
    assert found.is_separable
    assert (found.name, found.reason) == (None, "s1 is no better than the base")
    near_zero = choose(planted(-0.5, 0.001, -0.5))
    assert near_zero.name == "s1"
    assert near_zero.reason.endswith("better than the base is not shown")


def test_one_seed_tells_no_setting_from_luck() -> None:
    found = choose(planted(0.1, 0.9, 0.1, seeds=1))
    assert (found.name, found.is_separable, found.best) == (None, False, "s1")
    assert "one seed" in found.reason


def test_a_single_setting_is_the_choice() -> None:
    found = choose(planted(0.4))
    assert (found.name, found.is_above_base, found.reason) == (
        "s0",
        True,
        "it is the only setting",
    )


def test_noise_of_answers_counts_once() -> None:
    """Pure noise shows in runs and in prompts alike; the sum of both would be 41 % too wide."""
    found = [
        Contrasts([Candidate("a", np.random.default_rng(seed).normal(0, 1, (200, 200)))])
        for seed in range(5)
    ]
    errors = [each.error(np.array([1.0]))[0] for each in found]
    assert np.mean(errors) == pytest.approx(1 / 200, rel=0.1)


def test_clusters_widen_the_error() -> None:
    values: FloatArray = np.repeat(np.random.default_rng(1).normal(0, 1, (1, 20)), 10, axis=1)
    single = [Candidate("a", np.repeat(values, 2, axis=0))]
    labels = [at // 10 for at in range(200)]
    weights = np.array([1.0])
    together = Contrasts(single, labels).error(weights)[0]
    assert together > 2.5 * Contrasts(single).error(weights)[0]


def test_settings_of_other_prompts_are_refused() -> None:
    with pytest.raises(UsageError, match="settings need the same prompts"):
        choose([*planted(0.1), *planted(0.1, prompts=10)])


def test_halving_keeps_the_better_half_and_of_equals_the_first() -> None:
    assert survivors([0.1, 0.4, None, 0.3, 0.2]) == [1, 3]
    assert survivors([0.2, 0.2, 0.2, 0.2]) == [0, 1]
    assert survivors([None, 0.1]) == [1]


def shares(truth: Truth, sweeps: int, best: int | None) -> tuple[float, float]:
    """Share of simulated sweeps that are separable, and that choose the best."""
    found = [
        Simulated(truth, np.random.default_rng([7, number])).grid() for number in range(sweeps)
    ]
    return (
        float(np.mean([each.is_separable for each in found])),
        float(np.mean([each.name == str(best) for each in found])),
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 8, 32])
@pytest.mark.parametrize(("between", "own"), [(0.0, 0.0), (0.15, 0.3)])
def test_equal_settings_are_not_separable(count: int, between: float, own: float) -> None:
    """5 % at most; of 400 sweeps, 7.2 % would be three standard errors above."""
    truth = Truth(np.zeros(count), 3, PROMPTS, between, own)
    assert shares(truth, 400, None)[0] <= 0.072


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 8, 32])
def test_a_best_by_two_standard_errors_is_chosen(count: int) -> None:
    """Of the change that `evaluate` prints for one trial; the best is not the first."""
    effects = np.zeros(count)
    effects[count // 2] = effect_of(2.0, PROMPTS)
    assert shares(Truth(effects, 3, PROMPTS, 0.05, 0.1), 300, count // 2)[1] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("count", [LEAST_HALVED, 32])
def test_halving_takes_half_of_the_steps_and_loses_few_choices(count: int) -> None:
    effects = np.zeros(count)
    effects[count // 2] = effect_of(2.0, PROMPTS)
    truth = Truth(effects, 3, PROMPTS, 0.05, 0.1)
    grids, halved, taken = [], [], []
    for number in range(300):
        sweep = Simulated(truth, np.random.default_rng([11, number]))
        choice, share = sweep.halving()
        grids.append(sweep.grid().name == str(count // 2))
        halved.append(choice.name == str(count // 2))
        taken.append(share)
    assert max(taken) <= 0.5
    assert np.mean(halved) >= np.mean(grids) - 0.05


@pytest.mark.slow
def test_halving_of_equal_settings_is_not_separable() -> None:
    truth = Truth(np.zeros(LEAST_HALVED), 3, PROMPTS, 0.15, 0.3)
    found = [
        Simulated(truth, np.random.default_rng([13, number])).halving()[0].is_separable
        for number in range(400)
    ]
    assert np.mean(found) <= 0.072


def test_the_simulation_halves_as_a_sweep_does() -> None:
    from dataclasses import fields

    names = {each.name: None for each in fields(SweepSpec)}
    spec = SweepSpec(**{**names, "strategy": "halving"})
    assert spec.rungs == tuple(share for share, _ in RUNGS)
