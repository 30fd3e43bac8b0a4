"""Compute confidence intervals: of a proportion, of two on the same prompts, and of a mean."""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from clairkit.errors import UsageError


@dataclass(frozen=True)
class Interval:
    """A confidence interval; both ends belong to it."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Difference:
    """The change of a proportion between two runs over the same prompts.

    Attributes:
        estimate: after minus before, in [-1, 1].
        low: lower end of the interval.
        high: upper end of the interval.
        n: prompts.
        gained: prompts that were wrong before and are right after.
        lost: prompts that were right before and are wrong after.
    """

    estimate: float
    low: float
    high: float
    n: int
    gained: int
    lost: int

    @property
    def verdict(self) -> str:
        """Return "better" or "worse" when the whole interval is; "undecided" when it holds 0."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"


def wilson(
    successes: float, n: float, confidence: float = 0.95, *, quantile: float | None = None
) -> Interval:
    """Return Wilson's score interval for a proportion (Wilson 1927), without continuity correction.

    With p = successes / n and z the normal quantile: the p0 for which |p - p0| is at most
    z sqrt(p0 (1 - p0) / n). It lies in [0, 1] and keeps a width at 0 and at n successes.

    Args:
        successes: how often it was right; need not be whole where trials hang together and an
            effective number of them is given.
        n: how often it was tried, at least once.
        confidence: probability that such an interval holds the true proportion, in (0, 1).
        quantile: in place of z, and of the confidence, where the spread was itself estimated.

    Raises:
        UsageError: an argument is out of its range.
    """
    if n < 1 or not 0 <= successes <= n:
        problem = "a proportion needs at least one trial, and no more successes than trials"
        raise UsageError(problem, received=f"{successes} of {n}")
    z = _quantile(confidence) if quantile is None else quantile
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the closed form misses 0 and 1 by a rounding error.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return Interval(low, high)


def paired_difference(
    before: Sequence[bool], after: Sequence[bool], confidence: float = 0.95
) -> Difference:
    """Return after minus before in the proportion of successes, with a paired interval.

    The interval is Newcombe's square-and-add (Statistics in Medicine 17:2635-2650, 1998, method
    10): Wilson's intervals of both proportions, combined with the correlation phi of the pairs.
    With p1 in [l1, u1] after and p2 in [l2, u2] before,
    low = p1 - p2 - sqrt((p1 - l1)^2 - 2 phi (p1 - l1)(u2 - p2) + (u2 - p2)^2), and high likewise
    with the other ends. It stays in [-1, 1] and keeps a width when no prompt changed.

    Args:
        before: whether each prompt's answer was right, in any order.
        after: the same for the same prompts in the same order.
        confidence: in (0, 1).

    Raises:
        UsageError: the two differ in length or are empty.
    """
    if len(before) != len(after):
        problem = "a paired difference needs the same prompts on both sides"
        raise UsageError(problem, received=f"{len(before)} and {len(after)}")
    both = sum(a and b for a, b in zip(after, before, strict=True))
    gained, lost = sum(map(bool, after)) - both, sum(map(bool, before)) - both
    neither = len(after) - both - gained - lost
    low, high = newcombe((both, gained, lost, neither), _quantile(confidence))
    return Difference((gained - lost) / len(after), low, high, len(after), gained, lost)


def newcombe(cells: tuple[float, float, float, float], quantile: float) -> tuple[float, float]:
    """Return the ends of Newcombe's paired interval (method 10) from the 2 x 2 table of pairs.

    Args:
        cells: pairs with both right, gained (right after only), lost (right before only), neither;
            they need not be whole where pairs hang together and an effective number is given.
        quantile: of the normal distribution, or of Student's t where the spread was estimated.

    Raises:
        UsageError: the cells hold less than one pair.
    """
    both, gained, lost, neither = cells
    n = sum(cells)
    first = wilson(min(n, both + gained), n, quantile=quantile)
    second = wilson(min(n, both + lost), n, quantile=quantile)
    share, earlier = (both + gained) / n, (both + lost) / n
    phi = _phi(both, gained, lost, neither)
    estimate = (gained - lost) / n
    return (
        max(-1.0, estimate - _added(share - first.low, second.high - earlier, phi)),
        min(1.0, estimate + _added(first.high - share, earlier - second.low, phi)),
    )


def mean_interval(
    values: Sequence[float],
    confidence: float = 0.95,
    *,
    groups: Sequence[Hashable] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a mean (Efron 1979); the same for the same seed.

    The values are drawn with replacement, as many as there are, `draws` times; the interval holds
    the middle `confidence` of the means. Equal values give an interval without width.

    Args:
        values: at least one; independent of each other, or of those in other groups.
        confidence: in (0, 1).
        groups: the group of each value; a group is drawn with all its values.
        draws: how often to draw.
        seed: of the drawing.

    Raises:
        UsageError: there is no value, or an argument is out of its range.
    """
    if not values or draws < 1 or (groups is not None and len(groups) != len(values)):
        problem = "a mean needs at least one value and one draw"
        raise UsageError(problem, received=f"{len(values)} values, {draws} draws")
    _check(confidence)
    drawn = random.Random(seed)
    parts = _sums(values, range(len(values)) if groups is None else groups)
    means = sorted(_mean(drawn.choices(parts, k=len(parts))) for _ in range(draws))
    last, tail = draws - 1, (1 - confidence) / 2
    return Interval(means[math.floor(tail * last)], means[math.ceil((1 - tail) * last)])


def _sums(values: Sequence[float], groups: Iterable[Hashable]) -> list[tuple[float, int]]:
    """Return sum and count of each group, in the order in which groups first come."""
    held: dict[Hashable, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        held.setdefault(group, []).append(value)
    return [(math.fsum(members), len(members)) for members in held.values()]


def _mean(parts: Sequence[tuple[float, int]]) -> float:
    return math.fsum(total for total, _ in parts) / sum(count for _, count in parts)


def _added(ours: float, theirs: float, phi: float) -> float:
    return math.sqrt(max(0.0, ours * ours - 2 * phi * ours * theirs + theirs * theirs))


def _phi(both: float, gained: float, lost: float, neither: float) -> float:
    """Return the correlation of the pairs; a positive one is continuity-corrected, as in method 10.

    0 when a margin is empty: then no correlation can be seen.
    """
    n = both + gained + lost + neither
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    if not margins:
        return 0.0
    product: float = both * neither - gained * lost
    if product > 0:
        product = max(product - n / 2, 0)
    return product / math.sqrt(margins)


def _quantile(confidence: float) -> float:
    _check(confidence)
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise UsageError("the confidence must lie between 0 and 1", received=confidence)
