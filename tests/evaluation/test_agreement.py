"""Agreement on labels that were not used, and choices that chance does not make."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest

from clairkit.evaluation.agreement import CONSTANT, Cases, choose
from clairkit.evaluation.choice import Choice


def cases(positives: list[bool], *, has_threshold: bool = True) -> Cases:
    return Cases(positives, [f"prompt {at:03d}" for at in range(len(positives))], has_threshold)


def signs(positives: list[bool], hits: float, drawn: random.Random) -> list[float]:
    """Scores that say what the labels say with probability `hits`."""
    return [1.0 if positive == (drawn.random() < hits) else -1.0 for positive in positives]


def test_folds_hold_each_label_once_and_no_group_twice() -> None:
    drawn = random.Random(1)
    groups = [f"prompt {drawn.randrange(30)}" for _ in range(100)]
    positives = [drawn.random() < 0.3 for _ in range(100)]
    folds = Cases(positives, groups, True).folds()
    assert len(folds) == 10
    assert sorted(place for fold in folds for place in fold) == list(range(100))
    homes = [{groups[place] for place in fold} for fold in folds]
    assert sum(map(len, homes)) == len(set(groups))


def test_folds_are_alike() -> None:
    positives = [at < 20 for at in range(100)]
    for fold in cases(positives).folds():
        assert len(fold) == 10
        assert sum(positives[place] for place in fold) == 2


def test_a_threshold_is_fitted_and_measured_elsewhere() -> None:
    """Scores around 0.8 that sort the labels perfectly, but for one of each kind."""
    positives = [at % 2 == 0 for at in range(40)]
    scores: list[float | None] = [0.9 if positive else 0.7 for positive in positives]
    scores[0], scores[1] = 0.7, 0.9
    found = choose(cases(positives), {"sorter": scores})
    assert found.best.agreed == 38
    assert found.best.hits[0] is found.best.hits[1] is False
    assert found.best.threshold == pytest.approx(0.8)
    assert found.constant.agreed == 20
    assert found.chosen == "sorter"


def test_what_fits_chance_alone_is_not_credited() -> None:
    """Each label has a score of its own: a threshold can fit noise, but not foresee it."""
    shares, flattered = [], []
    for seed in range(60):
        drawn = random.Random(seed)
        positives = [drawn.random() < 0.5 for _ in range(40)]
        noise: dict[str, list[float | None]] = {
            f"noise {number}": [drawn.random() for _ in positives] for number in range(5)
        }
        found = choose(cases(positives), noise)
        shares.append(found.choosing.share)
        flattered.append(found.best.share)
    assert fmean(shares) == pytest.approx(0.5, abs=0.04)
    assert fmean(flattered) > 0.55  # the best of five, on the labels that made it the best


def test_scores_that_know_nothing_are_right_half_the_time() -> None:
    """Not less: a threshold that follows chance would be wrong where it is measured."""
    shares = []
    for seed in range(100):
        drawn = random.Random(seed)
        positives = [at % 2 == 0 for at in range(30)]
        blind: list[float | None] = [float(drawn.choice((-1, 1))) for _ in positives]
        shares.append(choose(cases(positives), {"blind": blind}).best.share)
    assert fmean(shares) == pytest.approx(0.5, abs=0.03)


def test_equal_contenders_are_told_apart_by_chance_in_few_runs() -> None:
    """Two that are right in 80 % of cases, each on its own: at most 5 % of runs may choose."""
    chosen = 0
    for seed in range(200):
        drawn = random.Random(seed)
        positives = [drawn.random() < 0.5 for _ in range(60)]
        scores = {name: signs(positives, 0.8, drawn) for name in ("one", "other")}
        chosen += choose(cases(positives, has_threshold=False), scores).chosen is not None
    assert chosen <= 10


def test_a_better_contender_is_chosen() -> None:
    chosen: list[str | None] = []
    for seed in range(50):
        drawn = random.Random(seed)
        positives = [drawn.random() < 0.5 for _ in range(80)]
        scores = {"good": signs(positives, 0.95, drawn), "poor": signs(positives, 0.6, drawn)}
        chosen.append(choose(cases(positives, has_threshold=False), scores).chosen)
    assert "poor" not in chosen
    assert chosen.count("good") >= 45


def test_saying_what_most_labels_say_is_no_merit() -> None:
    positives = [at % 10 != 0 for at in range(100)]
    always_yes: list[float | None] = [1.0] * 100
    found = choose(cases(positives), {"eager": always_yes})
    assert found.best.agreed == found.constant.agreed == 90
    assert found.chosen is None
    assert [(rival.name, rival.is_separable) for rival in found.rivals] == [(CONSTANT, False)]


def test_ties_and_failures_agree_with_nobody() -> None:
    positives = [True, False] * 10
    scores: list[float | None] = [1.0, -1.0] * 8 + [0.0, 0.0, None, None]
    found = choose(cases(positives, has_threshold=False), {"shy": scores}).best
    assert (found.agreed, found.silent, found.threshold) == (16, 4, None)
    # A threshold makes a 0 a verdict; a failure stays none.
    found = choose(cases(positives), {"shy": scores}).best
    assert found.silent == 2


def test_intervals_allow_for_all_comparisons() -> None:
    positives = [at % 2 == 0 for at in range(40)]
    scores: dict[str, list[float | None]] = {
        name: [1.0 if positive else -1.0 for positive in positives] for name in "abc"
    }
    found = choose(cases(positives), scores)
    assert found.confidence == pytest.approx(1 - 0.05 / 6)  # of 3 and the constant, two by two
    assert [each.name for each in found.agreements] == ["a", "b", "c"]
    assert found.chosen is None
    assert [rival.is_separable for rival in found.rivals] == [False, False, True]
    assert found.rivals[0].labels_needed is None  # there is no lead


def test_how_many_labels_would_do() -> None:
    positives = [True] * 20
    good: list[float | None] = [1.0] * 18 + [-1.0] * 2
    poor: list[float | None] = [1.0] * 13 + [-1.0] * 7

    def lead(copies: int) -> Choice:
        many = cases([True, False] * 10 * copies, has_threshold=False)
        flipped = {
            name: [
                score if at % 2 == 0 else -(score or 0) for at, score in enumerate(each * copies)
            ]
            for name, each in {"good": good, "poor": poor}.items()
        }
        return choose(many, flipped)

    assert len(positives) == 20
    found = lead(1)
    needed = next(rival.labels_needed for rival in found.rivals if rival.name == "poor")
    assert found.chosen is None
    assert needed is not None
    copies = needed // 20
    assert lead(copies).chosen == "good"
    assert lead(copies - 1).chosen is None


def test_json_has_no_infinity() -> None:
    positives = [at % 10 != 0 for at in range(100)]
    found = choose(cases(positives), {"eager": [1.0] * 100})
    assert found.best.threshold is not None
    assert math.isinf(found.best.threshold)
    assert found.to_json()["contenders"][0]["threshold"] is None
