"""Win rate of one model against another, from verdicts in both orders by one judge or several."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clairkit.errors import UsageError
from clairkit.intervals import Interval
from clairkit.statistics.clusters import (
    Clusters,
    as_values,
    cluster,
    draw_counts,
    sandwich_error,
)
from clairkit.statistics.estimates import (
    Estimate,
    FloatArray,
    Note,
    Resampling,
    is_near_the_edge,
    score_interval,
    studentized_interval,
)

_Cells = dict[tuple[Hashable, Hashable], dict[bool, list[float]]]

_BOOTSTRAP = "studentized bootstrap over clusters"
_SCORE = "Wilson's score interval, effective number of clusters"

MOST_UNPARSED = 0.05
"""The largest share of verdicts that may be unreadable; above it they decide nothing."""


@dataclass(frozen=True)
class Verdict:
    """What one judge said of one prompt, shown in one order.

    Attributes:
        prompt: which prompt.
        judge: who judged; a model or a person.
        candidate_first: whether the candidate's answer was shown first.
        score: 1 when the candidate's answer is better, 1/2 for a tie, 0 when it is worse; None
            when the reply could not be parsed.
    """

    prompt: Hashable
    judge: Hashable
    candidate_first: bool
    score: float | None

    def __post_init__(self) -> None:
        if self.score is not None and not 0 <= self.score <= 1:
            raise UsageError("a verdict's score must lie between 0 and 1", received=self.score)


@dataclass(frozen=True)
class PositionBias:
    """How much verdicts follow the order in which answers are shown.

    Attributes:
        pairs: prompts x judges with a parsed verdict in both orders.
        consistent: those whose two verdicts name the same answer, or a tie both times.
        first_wins: mean score of the answer that was shown first; 1/2 without bias. None without
            any parsed verdict.
        consistency: share of consistent pairs with its interval; None without pairs.
    """

    pairs: int
    consistent: int
    first_wins: float | None
    consistency: Estimate | None


@dataclass(frozen=True)
class WinRate:
    """The candidate's win rate, and whether its verdicts deserve trust.

    Attributes:
        estimate: W, the mean over prompts, in [0, 1]; None when no verdict could be parsed.
        worst: W if each verdict that could not be parsed had gone against the candidate.
        best: W if each had gone for it.
        unparsed: verdicts that could not be parsed.
        verdicts: all verdicts.
        positions: consistency between orders, and how often the first answer wins.
    """

    estimate: Estimate | None
    worst: float
    best: float
    unparsed: int
    verdicts: int
    positions: PositionBias

    @property
    def unparsed_share(self) -> float:
        """Return the share of verdicts that could not be parsed."""
        return self.unparsed / self.verdicts


def win_rate(
    verdicts: Sequence[Verdict],
    clusters: Mapping[Any, Hashable] | None = None,
    resampling: Resampling | None = None,
) -> WinRate:
    """Return the candidate's win rate over judges and orders.

    Each prompt counts once: its score is the mean over judges of the mean over orders. A judge
    that always names the first answer gives 1/2 on each prompt, and so no win.

    Args:
        verdicts: of one candidate against one baseline.
        clusters: what each prompt belongs to; None when prompts are independent.
        resampling: level, draws and seed.

    Raises:
        UsageError: there is no verdict, or a prompt has no cluster.
    """
    if not verdicts:
        raise UsageError("a win rate needs at least one verdict", received=0)
    parsed = prompt_scores(verdicts)
    estimate = None
    if parsed:
        labels = None if clusters is None else labels_of(parsed, clusters)
        estimate = mean_share(list(parsed.values()), labels, resampling)
    unparsed = sum(verdict.score is None for verdict in verdicts)
    return WinRate(
        estimate=estimate,
        worst=float(np.mean(list(prompt_scores(verdicts, unparsed_as=0.0).values()))),
        best=float(np.mean(list(prompt_scores(verdicts, unparsed_as=1.0).values()))),
        unparsed=unparsed,
        verdicts=len(verdicts),
        positions=position_bias(verdicts, clusters, resampling),
    )


def prompt_scores(
    verdicts: Iterable[Verdict], *, unparsed_as: float | None = None
) -> dict[Hashable, float]:
    """Return the score of each prompt: the mean over judges of the mean over orders.

    Prompts are sorted, so that a seed gives the same interval whichever verdict came in first.

    Args:
        verdicts: in any order.
        unparsed_as: the score of a verdict that could not be parsed; None leaves it out.
    """
    judges: defaultdict[Hashable, list[float]] = defaultdict(list)
    for (prompt, _), cell in _cells(verdicts, unparsed_as).items():
        judges[prompt].append(_mean([_mean(scores) for scores in cell.values()]))
    return {prompt: _mean(judges[prompt]) for prompt in sorted(judges, key=str)}


def labels_of(prompts: Iterable[Hashable], clusters: Mapping[Any, Hashable]) -> list[Hashable]:
    """Return the cluster of each prompt.

    Raises:
        UsageError: a prompt has none.
    """
    prompts = list(prompts)
    missing = [prompt for prompt in prompts if prompt not in clusters]
    if missing:
        raise UsageError(
            f"{len(missing)} prompts have no cluster",
            received=missing[0],
            remedy="name a cluster for each prompt",
        )
    return [clusters[prompt] for prompt in prompts]


def position_bias(
    verdicts: Iterable[Verdict],
    clusters: Mapping[Any, Hashable] | None = None,
    resampling: Resampling | None = None,
) -> PositionBias:
    """Return how much verdicts follow the order; arguments as of `win_rate`."""
    verdicts = [verdict for verdict in verdicts if verdict.score is not None]
    first = [_score_of_first(verdict) for verdict in verdicts]
    agreed = {
        pair: float(_side(cell[True]) == _side(cell[False]))
        for pair, cell in _cells(verdicts).items()
        if len(cell) == 2
    }
    consistency = None
    if agreed:
        pairs = sorted(agreed, key=str)
        prompts = [prompt for prompt, _ in pairs]
        labels = prompts if clusters is None else labels_of(prompts, clusters)
        consistency = mean_share([agreed[pair] for pair in pairs], labels, resampling)
    return PositionBias(
        pairs=len(agreed),
        consistent=int(sum(agreed.values())),
        first_wins=_mean(first) if first else None,
        consistency=consistency,
    )


def mean_share(
    scores: Sequence[float] | FloatArray,
    labels: Sequence[Hashable] | None = None,
    resampling: Resampling | None = None,
) -> Estimate:
    """Return the mean of scores in [0, 1] with a clustered interval.

    SE = sqrt(sum over clusters of (sum of (s_i - W) in it)^2) / n. The interval is the studentized
    bootstrap over clusters; the score interval near 0 and 1, where draws without any spread make
    the bootstrap fail. No interval is given for one cluster, nor where all scores are equal and
    neither 0 nor 1 (all ties).

    Args:
        scores: [n] in [0, 1], one a prompt (or one a prompt and judge).
        labels: [n] cluster of each; None when each stands for itself.
        resampling: level, draws and seed.

    Raises:
        UsageError: a score is outside [0, 1], or the lengths differ.
    """
    resampling = resampling or Resampling()
    values = as_values(scores, "a win rate", is_share=True)
    groups = cluster(labels, len(values))
    share = float(values.mean())
    error = sandwich_error((values - share) / len(values), groups)
    found = Estimate(
        estimate=share,
        interval=None,
        standard_error=error,
        n=len(values),
        clusters=groups.count,
        level=resampling.level,
        method=_BOOTSTRAP,
    )
    if groups.count < 2:
        return replace(found, notes=(Note.TOO_FEW, Note.ONE_CLUSTER))
    if values.min() == values.max() and 0 < share < 1:
        return replace(found, notes=(Note.TOO_FEW, Note.ALL_EQUAL))
    if not is_near_the_edge(share, groups.effective):
        draws = _draw_means(values, groups, resampling)
        interval = studentized_interval(share, error, draws, resampling.level)
        if interval is not None:
            return replace(found, interval=clipped(interval))
    return near_the_edge(found, groups)


def near_the_edge(found: Estimate, groups: Clusters, most: float = math.inf) -> Estimate:
    """Return the estimate of a share with the score interval in place of the bootstrap.

    Args:
        found: the share and its standard error.
        groups: clusters of the rows.
        most: as many independent trials as the rows can be worth.
    """
    share = found.estimate
    interval = score_interval(
        share,
        found.standard_error * groups.correction**0.5,
        dof=groups.dof,
        independent=groups.effective,
        level=found.level,
        most=most,
    )
    note = Note.ALL_ON_ONE_SIDE if share in (0, 1) else Note.NEAR_THE_EDGE
    return replace(found, interval=interval, method=_SCORE, notes=(*found.notes, note))


def _draw_means(
    values: FloatArray, groups: Clusters, resampling: Resampling
) -> tuple[FloatArray, FloatArray]:
    """Return the means of the draws and their standard errors, [B] each."""
    sizes, sums = groups.sizes, groups.totals(values)
    # The sum over drawn clusters of (sum - mean * size)^2, multiplied out.
    moments = np.stack([sizes, sums, sums**2, sums * sizes, sizes**2], axis=1)
    drawn = np.concatenate(
        [
            counts @ moments
            for counts in draw_counts(groups.count, resampling.draws, resampling.seed)
        ]
    )
    rows, total, squares, products, square_sizes = drawn.T
    means = total / rows
    spread = squares - 2 * means * products + means**2 * square_sizes
    # What rounding leaves of 0 would pass for a spread.
    spread[spread < 1e-12 * square_sizes] = 0.0
    return means, np.sqrt(spread) / rows


def clipped(interval: Interval) -> Interval:
    """Return the interval within [0, 1]."""
    return Interval(max(0.0, interval.low), min(1.0, interval.high))


def _cells(verdicts: Iterable[Verdict], unparsed_as: float | None = None) -> _Cells:
    """Return the scores of each prompt and judge, by whether the candidate was first."""
    cells: _Cells = {}
    for verdict in verdicts:
        score = unparsed_as if verdict.score is None else verdict.score
        if score is not None:
            cell = cells.setdefault((verdict.prompt, verdict.judge), {})
            cell.setdefault(verdict.candidate_first, []).append(score)
    return cells


def _score_of_first(verdict: Verdict) -> float:
    score = verdict.score or 0.0
    return score if verdict.candidate_first else 1 - score


def _side(scores: Sequence[float]) -> float:
    return float(np.sign(_mean(scores) - 0.5))


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)
