"""Strength of three models or more from verdicts on pairs of them: Bradley-Terry, shown as Elo.

P(a beats b) = 1 / (1 + exp(strength_b - strength_a)), a tie counting half for each, by maximum
likelihood. Elo is 400 / ln 10 times the difference of strengths.

Shapes: m comparisons, K models, G clusters.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clairkit.errors import UsageError
from clairkit.intervals import Interval
from clairkit.statistics.clusters import Clusters, cluster
from clairkit.statistics.estimates import (
    Estimate,
    FloatArray,
    Note,
    check_level,
    t_interval,
    t_quantile,
)

ELO_PER_LOGIT = 400 / math.log(10)

_METHOD = "Bradley-Terry, clustered sandwich covariance, Student's t"
_ONE_SIDED = "Bradley-Terry, the unseen losses that the clusters leave room for"
_MOST_STEPS = 100

IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """One verdict on the answers of two models to one prompt.

    Attributes:
        prompt: which prompt; comparisons of one prompt belong together.
        first: a model.
        second: another model.
        score: of `first`: 1 better, 1/2 a tie, 0 worse.
    """

    prompt: Hashable
    first: str
    second: str
    score: float


@dataclass(frozen=True)
class Rating:
    """A model's Elo as its difference to the base.

    Attributes:
        model: its name.
        elo: difference to the base, in Elo points; 0 for the base itself. Infinite for a model
            that no chain of losses ties to the base, and then its interval has one finite end; NaN
            without interval where no chain of verdicts compares the two.
        comparisons: verdicts in which it took part.
    """

    model: str
    elo: Estimate
    comparisons: int


def bradley_terry(
    comparisons: Sequence[Comparison],
    base: str,
    clusters: Mapping[Any, Hashable] | None = None,
    level: float = 0.95,
) -> list[Rating]:
    """Return the Elo of each model against the base, the strongest first.

    Only models that wins and losses tie to the base both ways have a finite difference to it
    (Ford 1957). One that is above it in each chain (undefeated) has the estimate infinity and a
    lower bound: where t is Student's quantile and G the clusters, each verdict that could only go
    one way gets t^2 / G of the opposite one, as Wilson's bound of a share of 1 does.

    Args:
        comparisons: verdicts, in any order.
        base: the model that the others are compared with.
        clusters: what each prompt belongs to; None when prompts are independent.
        level: of the intervals, in (0, 1).

    Raises:
        UsageError: the base takes no part, a score is outside [0, 1], or a model meets itself.
    """
    check_level(level)
    table = _Table.of(comparisons, base, clusters)
    ratings = [_rating(table, model, level) for model in range(len(table.models))]
    return sorted(ratings, key=lambda each: (math.isnan(each.elo.estimate), -each.elo.estimate))


@dataclass(frozen=True)
class _Table:
    """The comparisons as arrays.

    Attributes:
        models: names; the base is the first.
        first: [m] index of the first model.
        second: [m] index of the second model.
        scores: [m] of the first.
        groups: clusters of the rows.
        above: [K, K] whether a chain of wins or ties leads from one model down to another.
    """

    models: tuple[str, ...]
    first: IntArray
    second: IntArray
    scores: FloatArray
    groups: Clusters
    above: BoolArray

    @classmethod
    def of(
        cls,
        comparisons: Sequence[Comparison],
        base: str,
        clusters: Mapping[Any, Hashable] | None,
    ) -> _Table:
        names = {name for each in comparisons for name in (each.first, each.second)}
        if base not in names:
            problem = f"the base takes part in no comparison; known are {sorted(names)}"
            raise UsageError(problem, received=base)
        for each in comparisons:
            _check(each, clusters)
        models = (base, *sorted(names - {base}))
        numbers = {name: at for at, name in enumerate(models)}
        first = np.array([numbers[each.first] for each in comparisons], dtype=np.intp)
        second = np.array([numbers[each.second] for each in comparisons], dtype=np.intp)
        scores = np.array([each.score for each in comparisons], dtype=np.float64)
        labels = [clusters[each.prompt] if clusters else each.prompt for each in comparisons]
        groups = cluster(labels, len(labels))
        return cls(
            models, first, second, scores, groups, _reach(len(models), first, second, scores)
        )

    def is_tied(self, model: int) -> bool:
        """Whether the model's difference to the base is finite."""
        return bool(self.above[0, model] and self.above[model, 0])


def _check(comparison: Comparison, clusters: Mapping[Any, Hashable] | None) -> None:
    if not 0 <= comparison.score <= 1:
        raise UsageError("a score must lie between 0 and 1", received=comparison.score)
    if comparison.first == comparison.second:
        raise UsageError("a model can't be compared with itself", received=comparison.first)
    if clusters is not None and comparison.prompt not in clusters:
        raise UsageError("a prompt has no cluster", received=comparison.prompt)


def _reach(count: int, first: IntArray, second: IntArray, scores: FloatArray) -> BoolArray:
    above = np.eye(count, dtype=bool)
    above[first[scores > 0], second[scores > 0]] = True
    above[second[scores < 1], first[scores < 1]] = True
    for middle in range(count):  # Warshall's closure
        above |= above[:, [middle]] & above[[middle], :]
    return above


def _rating(table: _Table, model: int, level: float) -> Rating:
    part = int(((table.first == model) | (table.second == model)).sum())
    return Rating(table.models[model], _elo(table, model, level), part)


def _elo(table: _Table, model: int, level: float) -> Estimate:
    notes = (Note.TWO_MODELS,) if len(table.models) == 2 else ()
    if model == 0:
        return _estimate(table, level, 0.0, Interval(0.0, 0.0), 0.0, notes)
    if table.is_tied(model):
        return _tied(table, model, level, notes)
    above, below = table.above[model, 0], table.above[0, model]
    if not (above or below):
        notes = (*notes, Note.TOO_FEW, Note.NOT_COMPARABLE)
        return _estimate(table, level, math.nan, None, math.nan, notes)
    bound = _bound(table, model, level)
    if above:
        interval, notes = Interval(bound, math.inf), (*notes, Note.UNDEFEATED)
    else:
        interval, notes = Interval(-math.inf, bound), (*notes, Note.WINLESS)
    estimate = math.inf if above else -math.inf
    return _estimate(table, level, estimate, interval, math.nan, notes, _ONE_SIDED)


def _tied(table: _Table, model: int, level: float, notes: tuple[Note, ...]) -> Estimate:
    tied = np.array([table.is_tied(at) for at in range(len(table.models))])
    inside = tied[table.first] & tied[table.second]
    strengths, covariance = _fit(table, inside)
    elo = float(strengths[model]) * ELO_PER_LOGIT
    error = math.sqrt(covariance[model, model]) * ELO_PER_LOGIT
    rows = Clusters(*_compact(table.groups.codes[inside]))
    if rows.count < 2:
        notes = (*notes, Note.TOO_FEW, Note.ONE_CLUSTER)
        return _estimate(table, level, elo, None, math.nan, notes)
    interval = t_interval(elo, error * rows.correction**0.5, rows.dof, level)
    return _estimate(table, level, elo, interval, error, notes)


def _estimate(
    table: _Table,
    level: float,
    estimate: float,
    interval: Interval | None,
    error: float,
    notes: tuple[Note, ...],
    method: str = _METHOD,
) -> Estimate:
    return Estimate(
        estimate=estimate,
        interval=interval,
        standard_error=error,
        n=len(table.scores),
        clusters=table.groups.count,
        level=level,
        method=method,
        notes=notes,
    )


def _fit(
    table: _Table, inside: BoolArray, extra: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Fit the strengths, the base's being 0.

    Args:
        table: the comparisons.
        inside: [m] the rows that count.
        extra: [m] for each row, weight of a further one with the opposite outcome.

    Returns:
        The strengths [K] and their sandwich covariance [K, K], without small-sample factor; models
        without rows have the strength 0.
    """
    first, second, scores = table.first[inside], table.second[inside], table.scores[inside]
    added = np.zeros(len(scores)) if extra is None else extra[inside]
    count = len(table.models)
    design = np.zeros((len(scores), count))
    rows = np.arange(len(scores))
    design[rows, first], design[rows, second] = 1.0, -1.0
    design[:, 0] = 0.0
    strengths = np.zeros(count)
    for _ in range(_MOST_STEPS):
        p = 1 / (1 + np.exp(-design @ strengths))
        residuals = scores - p + added * (1 - scores - p)
        information = (design * ((1 + added) * p * (1 - p))[:, None]).T @ design
        step = np.clip(np.linalg.pinv(information) @ (design.T @ residuals), -2, 2)
        strengths = strengths + step
        if np.abs(step).max() < 1e-11:
            break
    codes, groups = _compact(table.groups.codes[inside])
    by_cluster = np.zeros((groups, count))
    np.add.at(by_cluster, codes, design * residuals[:, None])
    bread = np.linalg.pinv(information)
    return strengths, bread @ (by_cluster.T @ by_cluster) @ bread


def _compact(codes: IntArray) -> tuple[IntArray, int]:
    """Return cluster codes without gaps, and how many there are."""
    kept, compact = np.unique(codes, return_inverse=True)
    return compact, len(kept)


def _bound(table: _Table, model: int, level: float) -> float:
    """Return the finite end of an infinite difference, in Elo."""
    above, is_above = table.above, table.above[model, 0]
    between = above[model] & above[:, 0] if is_above else above[0] & above[:, model]
    inside = between[table.first] & between[table.second]
    both_ways = above[table.first, table.second] & above[table.second, table.first]
    one_way = inside & ~both_ways
    groups = Clusters(*_compact(table.groups.codes[one_way]))
    t = t_quantile((1 + level) / 2, groups.dof)
    if not math.isfinite(t):
        return -math.inf if is_above else math.inf
    strengths, _ = _fit(table, inside, np.where(one_way, t * t / groups.effective, 0.0))
    return float(strengths[model]) * ELO_PER_LOGIT
