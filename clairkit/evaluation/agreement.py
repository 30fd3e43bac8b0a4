"""Agreement of scores with people's labels, measured on labels that were not used to fit or choose.

Pure statistics: no model is asked here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from clairkit.evaluation.choice import Agreement, Choice, Rival
from clairkit.intervals import paired_difference, wilson

CONSTANT = "always the same"
"""The rival that knows nothing: it always says what most labels say."""

_FOLDS = 10
_ALPHA = 0.05
_MOST_COPIES = 20


@dataclass(frozen=True)
class Cases:
    """What people said.

    Attributes:
        positives: whether each was accepted, or A the better one.
        groups: what belongs together and is never split between fitting and measuring (a prompt).
        has_threshold: scores above a threshold, which is fitted, mean yes. Else the sign says
            which of two is better, and 0 says nothing.
    """

    positives: Sequence[bool]
    groups: Sequence[str]
    has_threshold: bool

    def folds(self) -> list[list[int]]:
        """Return the places in folds of about the same size and share of yes, whole groups each."""
        places: dict[str, list[int]] = {}
        for place, group in enumerate(self.groups):
            places.setdefault(group, []).append(place)

        def share(group: str) -> tuple[float, str]:
            inside = places[group]
            return sum(self.positives[place] for place in inside) / len(inside), group

        ordered = sorted(places, key=share)
        count = min(_FOLDS, len(ordered))
        return [
            [place for group in ordered[fold::count] for place in places[group]]
            for fold in range(count)
        ]


Scores = Sequence[float | None]


def choose(cases: Cases, scores: Mapping[str, Scores]) -> Choice:
    """Compare contenders by their agreement with people's labels.

    The best is chosen when the paired interval (Newcombe's) of its lead over each other, and over
    always saying what most labels say, lies above 0.

    Args:
        cases: the labels.
        scores: by contender, a score a label: the higher, the more it speaks for yes (or for A);
            None where there is none.
    """
    folds = cases.folds()
    found = [_agreement(name, each, cases, folds) for name, each in scores.items()]
    constant = _constant(cases)
    ranked = sorted(found, key=lambda each: -each.agreed)
    best, others = ranked[0], [*ranked[1:], constant]
    comparisons = math.comb(len(found) + 1, 2)
    confidence = 1 - _ALPHA / comparisons
    rivals = tuple(_rival(best, other, confidence) for other in others)
    return Choice(
        agreements=tuple(ranked),
        constant=constant,
        chosen=best.name if all(rival.is_separable for rival in rivals) else None,
        rivals=rivals,
        confidence=confidence,
        choosing=_choosing(cases, scores, folds),
    )


def _agreement(
    name: str, scores: Scores, cases: Cases, folds: Sequence[Sequence[int]]
) -> Agreement:
    hits = [False] * len(scores)
    for fold in folds:
        threshold = _threshold(scores, cases, _outside(fold, folds))
        for place in fold:
            hits[place] = _is_hit(scores, cases, place, threshold)
    everywhere = range(len(scores))
    threshold = _threshold(scores, cases, everywhere)
    silent = sum(_says(scores[place], threshold) is None for place in everywhere)
    return _made(name, hits, silent, threshold)


def _made(
    name: str, hits: Sequence[bool], silent: int = 0, threshold: float | None = None
) -> Agreement:
    return Agreement(name, tuple(hits), wilson(sum(hits), len(hits)), silent, threshold)


def _constant(cases: Cases) -> Agreement:
    most = 2 * sum(cases.positives) >= len(cases.positives)
    return _made(CONSTANT, [positive == most for positive in cases.positives])


def _choosing(
    cases: Cases, scores: Mapping[str, Scores], folds: Sequence[Sequence[int]]
) -> Agreement:
    hits = [False] * len(cases.positives)
    for fold in folds:
        others = _outside(fold, folds)
        thresholds = {name: _threshold(each, cases, others) for name, each in scores.items()}

        def met(name: str, places: Sequence[int], of: Mapping[str, float | None]) -> int:
            return sum(_is_hit(scores[name], cases, place, of[name]) for place in places)

        chosen = max(scores, key=lambda name: met(name, others, thresholds))
        for place in fold:
            hits[place] = _is_hit(scores[chosen], cases, place, thresholds[chosen])
    return _made("the one chosen", hits)


def _outside(fold: Sequence[int], folds: Sequence[Sequence[int]]) -> list[int]:
    return [place for other in folds if other is not fold for place in other]


def _threshold(scores: Scores, cases: Cases, places: Sequence[int]) -> float | None:
    """Return a threshold that meets about as many labels at `places` as any can.

    It is the middle one of those that come within a standard error of the best: what differs by
    less is chance, and to follow chance makes scores that know nothing look worse than they are.
    Minus infinity always says yes, infinity always no.
    """
    if not cases.has_threshold:
        return None
    scored = [
        (score, cases.positives[place]) for place in places if (score := scores[place]) is not None
    ]
    values = sorted({score for score, _ in scored})
    cuts = [-math.inf, *((low + high) / 2 for low, high in pairwise(values)), math.inf]
    met = [sum((score > cut) == positive for score, positive in scored) for cut in cuts]
    most = max(met)
    error = math.sqrt(most * (len(scored) - most) / len(scored)) if scored else 0.0
    best = [cut for cut, count in zip(cuts, met, strict=True) if count >= most - error]
    return best[len(best) // 2]


def _says(score: float | None, threshold: float | None) -> bool | None:
    """Return yes or no, or None for nothing."""
    if score is None:
        return None
    if threshold is not None:
        return score > threshold
    return None if score == 0 else score > 0


def _is_hit(scores: Scores, cases: Cases, place: int, threshold: float | None) -> bool:
    return _says(scores[place], threshold) == cases.positives[place]


def _rival(best: Agreement, other: Agreement, confidence: float) -> Rival:
    difference = paired_difference(other.hits, best.hits, confidence)
    needed = None
    if difference.estimate > 0 and difference.low <= 0:
        needed = _needed(best, other, confidence)
    return Rival(other.name, difference, needed)


def _needed(best: Agreement, other: Agreement, confidence: float) -> int | None:
    """About how many labels would do: copies of these, until the interval lies above 0."""
    for copies in range(2, _MOST_COPIES + 1):
        found = paired_difference(other.hits * copies, best.hits * copies, confidence)
        if found.low > 0:
            return copies * len(best.hits)
    return None
