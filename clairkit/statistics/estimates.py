"""What every statistic returns, and the intervals that need no resampling.

Shapes: n prompts (or other rows), G clusters, B bootstrap draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from clairkit.errors import UsageError
from clairkit.intervals import Interval, wilson

FloatArray = NDArray[np.float64]

_FEWEST_TO_RESAMPLE = 5.0
"""How many clusters must speak for the rarer side before a bootstrap is trusted."""


class Note(StrEnum):
    """What a reader must know beside a figure; each is shown in words."""

    TOO_FEW = "too few"
    ONE_CLUSTER = "only one cluster: its spread cannot be seen"
    ALL_EQUAL = "all values are the same: nothing tells the sides apart"
    ALL_ON_ONE_SIDE = "all on one side: the interval takes the clusters for independent trials"
    NEAR_THE_EDGE = "near 0 or 1: score interval in place of the bootstrap"
    LENGTH_IS_CONSTANT = "the length difference never varies: length was not controlled"
    LENGTH_DECIDES = "length alone decides nearly every verdict"
    TWO_MODELS = "with two models Elo adds nothing to the win rate"
    NOT_COMPARABLE = "no chain of wins and losses ties it to the base"
    UNDEFEATED = "above the base in every chain of comparisons: only a lower bound is known"
    WINLESS = "below the base in every chain of comparisons: only an upper bound is known"


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        level: probability that such an interval holds the true value, in (0, 1).
        draws: bootstrap draws over whole clusters.
        seed: of the drawing; the same seed gives the same interval.
    """

    level: float = 0.95
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.draws < 100:
            raise UsageError("an interval needs 100 draws or more", received=self.draws)


@dataclass(frozen=True)
class Estimate:
    """A figure with what it rests on.

    Attributes:
        estimate: in the unit of the statistic.
        interval: at `level`; None where the data are too few for one.
        standard_error: by the clustered sandwich, in the unit of the estimate.
        n: prompts, or other rows, behind it.
        clusters: independent groups behind it.
        level: of the interval.
        method: how the interval was made.
        notes: what a reader must know beside it.
    """

    estimate: float
    interval: Interval | None
    standard_error: float
    n: int
    clusters: int
    level: float
    method: str
    notes: tuple[Note, ...] = ()

    @property
    def is_too_few(self) -> bool:
        """Whether no interval can be given."""
        return self.interval is None

    @property
    def low(self) -> float | None:
        """Return the lower end of the interval."""
        return None if self.interval is None else self.interval.low

    @property
    def high(self) -> float | None:
        """Return the upper end of the interval."""
        return None if self.interval is None else self.interval.high


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1).

    Raises:
        UsageError: it lies outside.
    """
    if not 0 < level < 1:
        raise UsageError("the confidence level must lie between 0 and 1", received=level)


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def t_quantile(probability: float, dof: float) -> float:
    """Return the quantile of Student's t; infinite when there are no degrees of freedom."""
    from scipy.special import stdtrit

    if dof <= 0:
        return math.inf if probability > 0.5 else -math.inf
    return float(stdtrit(dof, probability))


def t_tail(statistic: float, dof: float) -> float:
    """Return the probability that Student's t lies above `statistic`."""
    from scipy.special import stdtr

    return float(stdtr(dof, -statistic)) if dof > 0 else 0.5


def t_interval(estimate: float, standard_error: float, dof: float, level: float) -> Interval:
    """Return estimate -+ t * standard error; both in any unit."""
    half = t_quantile((1 + level) / 2, dof) * standard_error
    return Interval(estimate - half, estimate + half)


def score_interval(
    share: float,
    standard_error: float,
    *,
    dof: float,
    independent: float,
    level: float,
    most: float = math.inf,
) -> Interval:
    """Return Wilson's interval of a share whose rows are clustered.

    With the effective number of rows m = share (1 - share) / SE^2: the p for which |share - p| is
    at most t sqrt(p (1 - p) / m). It lies in [0, 1], and keeps a width at 0 and 1, where the SE is
    0 and m is taken to be the number of independent clusters.

    Args:
        share: in [0, 1].
        standard_error: of the share, clustered, with its small-sample factor.
        dof: degrees of freedom of the standard error.
        independent: what m is when the standard error is 0, and share 0 or 1.
        level: in (0, 1).
        most: what m is never above.
    """
    trials = effective_trials(share, standard_error, independent)
    t = t_quantile((1 + level) / 2, dof)
    if not math.isfinite(t):
        return Interval(0.0, 1.0)
    trials = min(max(1.0, trials), most)
    return wilson(share * trials, trials, quantile=t)


def effective_trials(share: float, standard_error: float, independent: float) -> float:
    """Return as many independent trials as would give the standard error; see `score_interval`."""
    spread = share * (1 - share)
    return spread / standard_error**2 if standard_error > 0 and spread > 0 else independent


def is_near_the_edge(share: float, clusters: float) -> bool:
    """Whether fewer than five clusters speak for the rarer side; resampling misses such tails."""
    return min(share, 1 - share) * clusters < _FEWEST_TO_RESAMPLE


def studentized_interval(
    estimate: float,
    standard_error: float,
    draws: tuple[FloatArray, FloatArray],  # [B] each
    level: float,
) -> Interval | None:
    """Return the studentized bootstrap interval (Efron's bootstrap-t).

    With t* = (estimate* - estimate) / SE*: from estimate - SE * q(upper) to
    estimate - SE * q(lower). A plain percentile interval is too narrow with few clusters: over
    twelve clusters of five it held the true win rate in 89 to 91 of 100, this one in 94 to 95.

    Args:
        estimate: from all rows.
        standard_error: of the estimate, made in the same way as those of the draws.
        draws: the estimates of the draws, and their standard errors.
        level: in (0, 1).

    Returns:
        None when more draws than a tail holds have no spread, or no estimate.
    """
    estimates, errors = draws
    with np.errstate(divide="ignore", invalid="ignore"):
        pivots = (estimates - estimate) / errors
    tail = (1 - level) / 2
    unknown = np.isnan(pivots)
    if unknown.mean() > tail:
        return None
    pivots = np.where(unknown, 0.0, pivots)
    lower, upper = np.quantile(pivots, [tail, 1 - tail], method="inverted_cdf")
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return None
    return Interval(
        float(estimate - standard_error * upper), float(estimate - standard_error * lower)
    )
