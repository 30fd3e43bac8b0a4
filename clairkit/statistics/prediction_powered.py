"""Blend of a judge on many prompts with people on a few: PPI++ (Angelopoulos et al. 2023).

theta = lambda * mean(F) + mean(Y - lambda * f): people's mean score Y on the n labelled prompts,
corrected by how far the judge's mean there, f, is from its mean F on the N others. A biased judge
does not bias it; a judge that says nothing adds nothing, as lambda is then 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clairkit.errors import UsageError
from clairkit.statistics.clusters import Clusters, as_values, cluster, sandwich_error
from clairkit.statistics.estimates import (
    Estimate,
    FloatArray,
    Note,
    check_level,
    score_interval,
)

_PEOPLE = "mean of labels, clustered sandwich variance, score interval"
_ROUNDING = 1e-12
_METHOD = "PPI++, clustered sandwich variance, score interval"


@dataclass(frozen=True)
class LabelledScores:
    """Prompts that people and the judge scored, and those that the judge alone scored.

    Attributes:
        people: [n] people's score of the labelled prompts, Y.
        judge: [n] the judge's score of the same prompts, f.
        judge_elsewhere: [N] the judge's score of the prompts without label, F.
        clusters: [n] of the labelled prompts; None when prompts are independent.
        clusters_elsewhere: [N] of the others; a cluster may hold prompts of both kinds.
        drawn_at_random: whether it was drawn at random who got labelled.
    """

    people: Sequence[float]
    judge: Sequence[float]
    judge_elsewhere: Sequence[float]
    drawn_at_random: bool
    clusters: Sequence[Hashable] | None = None
    clusters_elsewhere: Sequence[Hashable] | None = None


@dataclass(frozen=True)
class Blend:
    """The blended estimate, and what the judge is worth.

    Attributes:
        estimate: theta, in [0, 1].
        people: the same from people's labels alone.
        weight: lambda, in [0, 1]: how much the judge is listened to.
        labels: n, prompts that people labelled.
        worth: as many labels as people alone would need for the same standard error; None where
            the spread is 0.
    """

    estimate: Estimate
    people: Estimate
    weight: float
    labels: int
    worth: float | None

    def __str__(self) -> str:
        """Return "60 labels count as about 92"."""
        if self.worth is None:
            return f"{self.labels} labels, all alike"
        return f"{self.labels} labels count as about {self.worth:.0f}"


def blend(scores: LabelledScores, level: float = 0.95) -> Blend:
    """Return the PPI++ estimate of people's mean score over all prompts.

    lambda = Cov(Y, f) / ((1 + n / N) Var(f)), kept in [0, 1]; with clusters, both are sums over
    clusters of products of their sums. Var = lambda^2 Var(F) / N + Var(Y - lambda f) / n, by
    cluster; with a small-sample factor and Student's t for the labelled clusters, inside Wilson's
    score interval, so that it stays within [0, 1].

    Args:
        scores: people's and the judge's.
        level: of the interval, in (0, 1).

    Raises:
        UsageError: the labelled prompts were not drawn at random, a score is outside [0, 1], or
            the lengths differ.
    """
    check_level(level)
    if not scores.drawn_at_random:
        raise UsageError(
            "judge and people can only be blended when the labelled prompts were drawn at random",
            remedy="label what `clairkit label export` draws, or read people's figure alone",
        )
    people = as_values(scores.people, "people's score", is_share=True)
    judge = as_values(scores.judge, "the judge's score", is_share=True)
    elsewhere = as_values(scores.judge_elsewhere, "the judge's score", is_share=True)
    if len(people) != len(judge):
        problem = "the judge must have scored each labelled prompt"
        raise UsageError(problem, received=f"{len(judge)} scores, {len(people)} labels")
    return _blend(people, judge, elsewhere, _groups(scores, len(people), len(elsewhere)), level)


@dataclass(frozen=True)
class _Groups:
    """Clusters of the labelled prompts, of the others, and of both in one numbering."""

    here: Clusters
    everywhere: Clusters


def _groups(scores: LabelledScores, n: int, count: int) -> _Groups:
    if scores.clusters is None and scores.clusters_elsewhere is None:
        return _Groups(cluster(None, n), cluster(None, n + count))
    if scores.clusters is None or scores.clusters_elsewhere is None:
        problem = "clusters must be named for all prompts or for none"
        raise UsageError(problem, received="clusters of one part")
    here = cluster(scores.clusters, n)
    cluster(scores.clusters_elsewhere, count)
    both = [*scores.clusters, *scores.clusters_elsewhere]
    return _Groups(here, cluster(both, n + count))


def _blend(
    people: FloatArray, judge: FloatArray, elsewhere: FloatArray, groups: _Groups, level: float
) -> Blend:
    n, here = len(people), groups.here
    weight = _weight(people, judge, n / len(elsewhere), here)
    rest = people - weight * judge
    theta = float(np.clip(weight * elsewhere.mean() + rest.mean(), 0.0, 1.0))
    error = _error(rest, weight * elsewhere, groups)
    alone = _error(people, np.zeros(len(elsewhere)), groups)
    only = _estimate(float(people.mean()), alone, groups, level)
    return Blend(
        estimate=_estimate(theta, error, groups, level),
        people=replace(only, n=n, clusters=here.count, method=_PEOPLE),
        weight=weight,
        labels=n,
        worth=n * (alone / error) ** 2 if error > 0 and here.count > 1 else None,
    )


def _weight(people: FloatArray, judge: FloatArray, ratio: float, here: Clusters) -> float:
    """Return lambda, kept in [0, 1]; `ratio` is n / N."""
    spoken = here.totals(judge - judge.mean())
    spread = float((spoken**2).sum())
    if spread <= 1e-12:
        return 0.0
    shared = float((here.totals(people - people.mean()) * spoken).sum())
    return min(1.0, max(0.0, shared / ((1 + ratio) * spread)))


def _error(rest: FloatArray, judged: FloatArray, groups: _Groups) -> float:
    """Return the clustered standard error of mean(rest) + mean(judged)."""
    influences = [(rest - rest.mean()) / len(rest), (judged - judged.mean()) / len(judged)]
    error = sandwich_error(np.concatenate(influences), groups.everywhere)
    return error if error > _ROUNDING else 0.0


def _estimate(theta: float, error: float, groups: _Groups, level: float) -> Estimate:
    here = groups.here
    found = Estimate(
        estimate=theta,
        interval=None,
        standard_error=error,
        n=len(groups.everywhere.codes),
        clusters=groups.everywhere.count,
        level=level,
        method=_METHOD,
    )
    if here.count < 2:
        return replace(found, notes=(Note.TOO_FEW, Note.ONE_CLUSTER))
    if error == 0 and 0 < theta < 1:
        return replace(found, notes=(Note.TOO_FEW, Note.ALL_EQUAL))
    interval = score_interval(
        theta,
        error * here.correction**0.5,
        dof=here.dof,
        independent=here.effective,
        level=level,
    )
    return replace(found, interval=interval, notes=() if error > 0 else (Note.ALL_ON_ONE_SIDE,))
