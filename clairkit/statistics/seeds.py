"""Several training runs of one configuration: is a change larger than what the seed alone makes?

Shapes: S seeds, n prompts (the same for all seeds), G clusters, b draws of a block.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from clairkit.errors import UsageError
from clairkit.statistics.clusters import Clusters, cluster, draw_counts, sandwich_error
from clairkit.statistics.estimates import (
    Estimate,
    FloatArray,
    Note,
    Resampling,
    t_interval,
)

_METHOD = "hierarchical bootstrap (seeds, then clusters of prompts), Student's t"


class SeedVerdict(StrEnum):
    """What the seeds say of a change."""

    BETTER = "better"
    WORSE = "worse"
    WITHIN_SPREAD = "smaller than the spread between seeds"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class SeedSpread:
    """The change over seeds.

    Attributes:
        estimate: mean over seeds and prompts, with an interval that holds for further seeds and
            further prompts.
        means: [S] the mean of each seed.
        deviation: sd of those means; None with one seed.
        prompts_error: standard error that the prompts alone leave.
    """

    estimate: Estimate
    means: tuple[float, ...]
    deviation: float | None
    prompts_error: float

    @property
    def range(self) -> tuple[float, float]:
        """Return the lowest and the highest mean of a seed."""
        return min(self.means), max(self.means)

    @property
    def is_within_spread(self) -> bool:
        """Whether the mean change is no larger than the sd between seeds."""
        return self.deviation is not None and abs(self.estimate.estimate) <= self.deviation

    @property
    def verdict(self) -> SeedVerdict:
        """Return better or worse where the interval leaves 0 out; else why it is open."""
        interval = self.estimate.interval
        if interval is not None and interval.low > 0:
            return SeedVerdict.BETTER
        if interval is not None and interval.high < 0:
            return SeedVerdict.WORSE
        return SeedVerdict.WITHIN_SPREAD if self.is_within_spread else SeedVerdict.UNDECIDED


def seed_spread(
    changes: Sequence[Sequence[float]] | FloatArray,
    labels: Sequence[Hashable] | None = None,
    resampling: Resampling | None = None,
) -> SeedSpread:
    """Return mean, sd and range over seeds, with the interval of a hierarchical bootstrap.

    Each draw takes S - 1 of the S seeds with replacement, which leaves the variance between seeds
    unbiased (Rao and Wu 1988; S of S would leave a third of it out with three seeds), then G
    clusters of prompts, the same for all drawn seeds, since all answered the same prompts. The
    interval is t times the standard deviation of the draws: three seeds have no percentiles.

    Args:
        changes: [S, n] of each seed and prompt, against what they are compared with: a score minus
            the baseline's, or a win score minus 1/2.
        labels: [n] cluster of each prompt; None when prompts are independent.
        resampling: level, draws and seed.

    Raises:
        UsageError: there is no value, one is not finite, or the lengths differ.
    """
    resampling = resampling or Resampling()
    values = _matrix(changes)
    groups = cluster(labels, values.shape[1])
    means = values.mean(1)
    total = float(values.mean())
    average = values.mean(0)
    prompts_error = sandwich_error((average - total) / len(average), groups)
    deviation = float(means.std(ddof=1)) if len(means) > 1 else None
    error = _deviation_of_draws(values, groups, resampling) if len(means) > 1 else math.nan
    notes: tuple[Note, ...] = ()
    if len(means) < 2 or groups.count < 2 or not error > 0:
        notes = (Note.TOO_FEW,)
    dof = _dof(deviation or 0.0, len(means), prompts_error, groups)
    estimate = Estimate(
        estimate=total,
        interval=None if notes else t_interval(total, error, dof, resampling.level),
        standard_error=error,
        n=values.shape[1],
        clusters=groups.count,
        level=resampling.level,
        method=_METHOD,
        notes=notes,
    )
    return SeedSpread(estimate, tuple(map(float, means)), deviation, prompts_error)


def _matrix(changes: Sequence[Sequence[float]] | FloatArray) -> FloatArray:
    if len({len(row) for row in changes}) != 1:
        problem = "each seed needs a value for each prompt"
        raise UsageError(problem, received=f"lengths {[len(row) for row in changes]}")
    values = np.asarray(changes, dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        raise UsageError("seeds need finite values", received=f"shape {values.shape}")
    return values


def _deviation_of_draws(values: FloatArray, groups: Clusters, resampling: Resampling) -> float:
    """Return the standard deviation of the hierarchical draws' means."""
    seeds = len(values)
    sums = np.stack([groups.totals(row) for row in values], axis=1)  # [G, S]
    generator = np.random.default_rng([resampling.seed, seeds])
    means = []
    for counts in draw_counts(groups.count, resampling.draws, resampling.seed):
        drawn = generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=len(counts))
        rows = counts @ groups.sizes
        by_seed = counts @ sums / rows[:, None]  # [b, S]
        means.append((by_seed * drawn).sum(1) / (seeds - 1))
    return float(np.concatenate(means).std(ddof=1))


def _dof(deviation: float, seeds: int, prompts_error: float, groups: Clusters) -> float:
    """Return Satterthwaite's degrees of freedom of the two sources together."""
    between, within = deviation**2 / seeds, prompts_error**2
    if seeds < 2 or groups.dof <= 0:
        return 0.0
    spread = between**2 / (seeds - 1) + within**2 / groups.dof
    return (between + within) ** 2 / spread if spread > 0 else groups.dof
