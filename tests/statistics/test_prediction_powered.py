"""PPI++: its formulas by hand, what a judge is worth, and when blending is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from clairkit.errors import UsageError
from clairkit.statistics.estimates import Note
from clairkit.statistics.prediction_powered import LabelledScores, blend


def biased_judge(n: int = 60, others: int = 2000, seed: int = 1) -> LabelledScores:
    generator = np.random.default_rng(seed)
    latent = generator.normal(size=n + others)
    people = (generator.random(n + others) < expit(0.3 + 2 * latent)).astype(float)
    judge = expit(1.3 + 2 * latent)
    return LabelledScores(people[:n], judge[:n], judge[n:], drawn_at_random=True)


def test_the_formulas_by_hand() -> None:
    scores = LabelledScores(
        people=[1.0, 0.0, 1.0, 1.0, 0.0],
        judge=[0.9, 0.4, 0.8, 0.6, 0.5],
        judge_elsewhere=[0.7, 0.9, 0.3, 0.6, 0.8, 0.9, 0.2, 0.4, 0.7, 0.5],
        drawn_at_random=True,
    )
    people, judge, elsewhere = map(np.array, (scores.people, scores.judge, scores.judge_elsewhere))
    n, others = 5, 10
    covariance = ((people - people.mean()) * (judge - judge.mean())).mean()
    weight = min(1.0, covariance / ((1 + n / others) * judge.var()))
    theta = weight * elsewhere.mean() + (people - weight * judge).mean()
    variance = weight**2 * elsewhere.var() / others + (people - weight * judge).var() / n
    found = blend(scores)
    assert found.weight == pytest.approx(weight)
    assert found.estimate.estimate == pytest.approx(theta)
    assert found.estimate.standard_error == pytest.approx(variance**0.5)
    assert found.worth == pytest.approx(n * (people.var() / n) / variance)
    assert (found.estimate.n, found.people.n, found.labels) == (15, 5, 5)


def test_a_judge_that_follows_people_is_worth_labels() -> None:
    found = blend(biased_judge())
    assert 0 < found.weight <= 1
    assert found.worth is not None
    assert found.worth > 65
    assert str(found) == f"60 labels count as about {found.worth:.0f}"
    assert found.estimate.standard_error < found.people.standard_error


@pytest.mark.parametrize("sign", [0.0, -1.0])
def test_a_judge_that_says_nothing_or_the_contrary_is_not_listened_to(sign: float) -> None:
    scores = biased_judge()
    deaf = replace(
        scores,
        judge=0.5 + sign * (np.asarray(scores.judge) - 0.5),
        judge_elsewhere=0.5 + sign * (np.asarray(scores.judge_elsewhere) - 0.5),
    )
    found = blend(deaf)
    assert found.weight == 0
    assert found.worth == pytest.approx(60)
    assert found.estimate.estimate == pytest.approx(found.people.estimate)


def test_a_perfect_judge_counts_its_own_prompts() -> None:
    scores = biased_judge()
    people = np.asarray(scores.people)
    perfect = replace(scores, judge=people, judge_elsewhere=np.tile(people, 50))
    found = blend(perfect)
    assert found.weight == pytest.approx(1 / (1 + 60 / 3000))
    assert found.worth == pytest.approx(3060, rel=0.01)


def test_labels_of_one_cluster_are_no_independent_labels() -> None:
    """Each label five times over, with its cluster named, is as good as once."""
    once = biased_judge()
    named = replace(once, clusters=list(range(60)), clusters_elsewhere=list(range(60, 2060)))
    copied = LabelledScores(
        people=np.repeat(once.people, 5),
        judge=np.repeat(once.judge, 5),
        judge_elsewhere=np.repeat(once.judge_elsewhere, 5),
        drawn_at_random=True,
        clusters=np.repeat(np.arange(60), 5).tolist(),
        clusters_elsewhere=np.repeat(np.arange(60, 2060), 5).tolist(),
    )
    assert blend(named).estimate.standard_error == pytest.approx(
        blend(once).estimate.standard_error
    )
    assert blend(copied).estimate.standard_error == pytest.approx(
        blend(once).estimate.standard_error
    )
    assert blend(copied).estimate.clusters == 2060


def test_a_cluster_on_both_sides_is_one_cluster() -> None:
    scores = biased_judge(60, 600)
    shared = replace(
        scores, clusters=list(range(60)), clusters_elsewhere=[at % 60 for at in range(600)]
    )
    assert blend(shared).estimate.clusters == 60


def test_blending_needs_labels_drawn_at_random() -> None:
    with pytest.raises(UsageError, match="drawn at random"):
        blend(replace(biased_judge(), drawn_at_random=False))


@pytest.mark.parametrize(("n", "note"), [(1, Note.ONE_CLUSTER), (30, Note.ALL_EQUAL)])
def test_labels_without_spread_are_too_few(n: int, note: Note) -> None:
    found = blend(LabelledScores([0.7] * n, [0.5] * n, [0.5, 0.7], drawn_at_random=True))
    for each in (found.estimate, found.people):
        assert each.is_too_few
        assert each.notes == (Note.TOO_FEW, note)
    assert found.worth is None
    assert str(found) == f"{n} labels, all alike"


def test_all_labels_on_one_side_keep_a_width() -> None:
    found = blend(LabelledScores([1.0] * 60, [0.5, 1.0] * 30, [0.5, 0.7], drawn_at_random=True))
    interval = found.estimate.interval
    assert interval is not None
    assert 0.9 < interval.low < 0.95 < interval.high == 1.0
    assert found.estimate.notes == (Note.ALL_ON_ONE_SIDE,)


def test_the_estimate_stays_within_bounds() -> None:
    found = blend(LabelledScores([1.0] * 20 + [0.9], [0.6] * 20 + [0.2], [1.0] * 99, True))
    assert found.estimate.interval is not None
    assert 0 <= found.estimate.interval.low < found.estimate.interval.high <= 1


def test_wrong_arguments_are_named() -> None:
    scores = biased_judge()
    with pytest.raises(UsageError, match="scored each labelled prompt"):
        blend(replace(scores, judge=[0.5]))
    with pytest.raises(UsageError, match="for all prompts or for none"):
        blend(replace(scores, clusters=list(range(60))))
    with pytest.raises(UsageError, match="at least one"):
        blend(replace(scores, judge_elsewhere=[]))
