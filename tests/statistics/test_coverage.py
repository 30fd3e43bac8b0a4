"""How often intervals hold the true value, where it is known because the data were simulated.

`make test` runs few trials; the long tests run a thousand at each size, and print what they find.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import numpy as np
import pytest
from scipy.special import expit
from simulated import (
    FIVES,
    SINGLE,
    UNEQUAL,
    Prompts,
    chances,
    coverage,
    draw_prompts,
    lengths,
    scores,
    verdict,
)

from clairkit.statistics.bradley_terry import ELO_PER_LOGIT, Comparison, bradley_terry
from clairkit.statistics.estimates import Estimate, Resampling
from clairkit.statistics.length_control import length_controlled_win_rate
from clairkit.statistics.prediction_powered import Blend, LabelledScores, blend
from clairkit.statistics.win_rate import Verdict, mean_share, prompt_scores, win_rate

Generator = np.random.Generator
Trial = Callable[[int, str, Generator], bool]

STRENGTHS = {"base": 0.0, "sft": 0.4, "apo": 0.8, "worse": -0.3}


def holds(found: Estimate, truth: float) -> bool:
    return found.interval is not None and truth in found.interval


def drawn(generator: Generator, draws: int = 1000) -> Resampling:
    return Resampling(draws=draws, seed=int(generator.integers(2**31)))


def win_rate_trial(n: int, kind: str, generator: Generator, mean: float = 0.7) -> bool:
    prompts = draw_prompts(n, kind, generator)
    chance, truth = chances(prompts, mean, generator)
    seen = scores(chance, prompts, generator)
    return holds(mean_share(seen, prompts.labels, drawn(generator)), truth)


def one_sided_trial(n: int, kind: str, generator: Generator) -> bool:
    return win_rate_trial(n, kind, generator, mean=3.0)


def length_trial(n: int, kind: str, generator: Generator) -> bool:
    prompts = draw_prompts(n, kind, generator)
    differences = lengths(prompts, generator)
    chance = expit(0.3 + 0.9 * np.tanh(differences / 200))
    seen = scores(chance, prompts, generator)
    draws = drawn(generator, 1000 if n < 800 else 400)
    found = length_controlled_win_rate(seen, differences, prompts.labels, draws)
    return holds(found.estimate, float(expit(0.3)))


def bradley_terry_trial(n: int, kind: str, generator: Generator) -> bool:
    """Whether the Elo of the strongest model is held; each pair is judged once a prompt."""
    prompts = draw_prompts(n, kind, generator)
    comparisons = []
    names = list(STRENGTHS)
    for at, first in enumerate(names):
        for second in names[:at]:
            chance = np.full(n, expit(STRENGTHS[first] - STRENGTHS[second]))
            seen = verdict(chance, prompts.latent, generator)
            comparisons += [
                Comparison(prompt, first, second, score) for prompt, score in enumerate(seen)
            ]
    found = bradley_terry(comparisons, "base", dict(enumerate(prompts.labels)))
    elo = next(each.elo for each in found if each.model == "apo")
    return holds(elo, ELO_PER_LOGIT * STRENGTHS["apo"])


def blended(n: int, kind: str, generator: Generator, others: int = 2000) -> tuple[Blend, float]:
    """Labels of n prompts drawn at random, and a judge that prefers the candidate by far."""
    prompts = draw_prompts(n + others, kind, generator)
    chance, truth = chances(prompts, 0.3, generator)
    people = verdict(chance, prompts.latent, generator)
    biased = expit(np.log(chance / (1 - chance)) + 1.0)
    judge = scores(biased, Prompts(prompts.labels, prompts.latent), generator)
    order = generator.permutation(n + others)
    here, there = order[:n], order[n:]
    labels = np.array(prompts.labels)
    return blend(
        LabelledScores(
            people=people[here],
            judge=judge[here],
            judge_elsewhere=judge[there],
            drawn_at_random=True,
            clusters=labels[here].tolist(),
            clusters_elsewhere=labels[there].tolist(),
        )
    ), truth


def blend_trial(n: int, kind: str, generator: Generator) -> bool:
    found, truth = blended(n, kind, generator)
    return holds(found.estimate, truth)


TRIALS: dict[str, Trial] = {
    "win rate": win_rate_trial,
    "win rate near 1": one_sided_trial,
    "length-controlled": length_trial,
    "Bradley-Terry": bradley_terry_trial,
    "PPI++": blend_trial,
}


@pytest.mark.long
@pytest.mark.parametrize("kind", [SINGLE, FIVES, UNEQUAL])
@pytest.mark.parametrize("n", [60, 200, 800])
@pytest.mark.parametrize("name", TRIALS)
def test_intervals_hold_the_truth_as_often_as_they_say(name: str, n: int, kind: str) -> None:
    found = coverage(lambda generator: TRIALS[name](n, kind, generator), 1000)
    print(f"{name}, n = {n}, {kind}: {100 * found:.1f} %")  # noqa: T201 - the figure of the run
    # Red where the trials show coverage outside 93 to 97 %: what chance alone may do to a thousand
    # trials is allowed for, 1.1 points.
    noise = 1.645 * (0.05 * 0.95 / 1000) ** 0.5
    assert 0.93 - noise <= found <= 0.97 + noise


@pytest.mark.parametrize("name", TRIALS)
def test_intervals_hold_the_truth_in_a_few_trials(name: str) -> None:
    """The same in small; near 1, twelve clusters leave about 94 %."""
    found = coverage(
        lambda generator: TRIALS[name](60, FIVES, generator), 120 if name == "win rate" else 60
    )
    assert found >= 0.88


def test_a_bootstrap_over_rows_is_planted_and_fails() -> None:
    """The trap: verdicts as rows, two judges and two orders, as if they were independent."""

    def over_rows(generator: Generator) -> bool:
        prompts = draw_prompts(60, FIVES, generator)
        chance, truth = chances(prompts, 0.7, generator)
        rows = np.concatenate([verdict(chance, prompts.latent, generator) for _ in range(4)])
        return holds(mean_share(rows, None, drawn(generator, 300)), truth)

    assert coverage(over_rows, 100) < 0.8


def test_people_and_a_biased_judge_are_surer_than_people_alone() -> None:
    """60 labels and 2,000 verdicts of a judge that leans to the candidate by one logit."""
    found = [blended(60, SINGLE, np.random.default_rng(seed))[0] for seed in range(60)]
    ratios = [each.estimate.standard_error / each.people.standard_error for each in found]
    assert max(ratios) < 1.0
    assert np.mean(ratios) < 0.9
    assert np.mean([each.worth or 0 for each in found]) > 75


@pytest.mark.long
def test_the_blend_keeps_its_coverage_where_the_judge_alone_has_none() -> None:
    held, judged, ratios = [], [], []
    for seed in range(1000):
        generator = np.random.default_rng(seed)
        found, truth = blended(60, SINGLE, generator)
        held.append(holds(found.estimate, truth))
        ratios.append(found.estimate.standard_error / found.people.standard_error)
        prompts = draw_prompts(2000, SINGLE, generator)
        chance, truth = chances(prompts, 0.3, generator)
        biased = scores(expit(np.log(chance / (1 - chance)) + 1.0), prompts, generator)
        judged.append(holds(mean_share(biased, None, drawn(generator, 200)), truth))
    shares = f"blend {100 * np.mean(held):.1f} %, judge alone {100 * np.mean(judged):.1f} %"
    print(shares, f"standard error {np.mean(ratios):.3f} of people's")  # noqa: T201 - the figures
    assert 0.93 <= np.mean(held) <= 0.97
    assert np.mean(judged) < 0.05


@pytest.mark.slow
def test_five_thousand_prompts_take_seconds() -> None:
    """5,000 prompts, two judges, two orders; processor time, so that other work does not count."""
    generator = np.random.default_rng(0)
    prompts = draw_prompts(5000, SINGLE, generator)
    differences = lengths(prompts, generator)
    chance = expit(0.3 + 0.9 * np.tanh(differences / 200))
    verdicts = [
        Verdict(prompt, judge, first, score)
        for judge in ("a", "b")
        for first in (True, False)
        for prompt, score in enumerate(verdict(chance, prompts.latent, generator))
    ]
    started = process_time()
    found = win_rate(verdicts)
    assert found.estimate is not None
    by_prompt = prompt_scores(verdicts)
    controlled = length_controlled_win_rate(
        list(by_prompt.values()), [differences[int(str(prompt))] for prompt in by_prompt]
    )
    assert controlled.estimate.interval is not None
    comparisons = [
        Comparison(each.prompt, "new", each.judge + "-old", each.score or 0.0)  # type: ignore[operator]  # a name
        for each in verdicts
    ]
    assert bradley_terry(comparisons, "new")
    assert process_time() - started < 20
