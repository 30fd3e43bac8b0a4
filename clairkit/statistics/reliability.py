"""Agreement between raters, of a rater with itself, and of a judge with people, beyond chance.

Shapes: U units (answers that were rated), V distinct values, b draws of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from clairkit.errors import UsageError
from clairkit.intervals import Interval
from clairkit.statistics.clusters import draw_counts
from clairkit.statistics.estimates import FloatArray, Resampling, t_quantile

_FEWEST_UNITS = 5


@dataclass(frozen=True)
class Reliability:
    """Agreement beyond chance: 1 is perfect, 0 what chance gives.

    Attributes:
        value: None where all ratings are the same, and chance would agree as well.
        interval: by bootstrap over units; None with fewer than five units.
        agreement: share of pairs of ratings of one unit that are equal, in [0, 1].
        units: units with two ratings or more.
        ratings: of those units.
    """

    value: float | None
    interval: Interval | None
    agreement: float
    units: int
    ratings: int


def krippendorff_alpha(
    ratings: Sequence[Sequence[Hashable | None]], resampling: Resampling | None = None
) -> Reliability:
    """Return Krippendorff's alpha of names: 1 - observed / expected disagreement (2011).

    Args:
        ratings: [U] the ratings of each unit, by any number of raters; None where one is missing.
        resampling: level, draws and seed.

    Raises:
        UsageError: no unit has two ratings.
    """
    units = [[value for value in unit if value is not None] for unit in ratings]
    units = [unit for unit in units if len(unit) > 1]
    if not units:
        raise UsageError(
            "agreement needs a unit with two ratings", received=f"{len(ratings)} units"
        )
    ordered = sorted({value for unit in units for value in unit}, key=str)
    tables = _coincidences(units, ordered)
    return _reliability(tables, _alpha, sum(map(len, units)), resampling or Resampling())


def cohen_kappa(
    first: Sequence[Hashable], second: Sequence[Hashable], resampling: Resampling | None = None
) -> Reliability:
    """Return Cohen's kappa of two raters, say a judge and people, on the same units.

    Args:
        first: [U] one rater's values.
        second: [U] the other's.
        resampling: level, draws and seed.

    Raises:
        UsageError: the lengths differ, or there is no unit.
    """
    if len(first) != len(second) or not first:
        problem = "kappa needs the same units from both raters"
        raise UsageError(problem, received=f"{len(first)} and {len(second)}")
    ordered = sorted({*first, *second}, key=str)
    numbers = {value: at for at, value in enumerate(ordered)}
    tables = np.zeros((len(first), len(ordered), len(ordered)))
    for unit, (one, other) in enumerate(zip(first, second, strict=True)):
        tables[unit, numbers[one], numbers[other]] = 1.0
    return _reliability(tables, _kappa, 2 * len(first), resampling or Resampling())


def _coincidences(units: Sequence[Sequence[Hashable]], ordered: Sequence[Hashable]) -> FloatArray:
    """Return each unit's pairs of values, weighted by 1 / (ratings - 1), [U, V, V]."""
    numbers = {value: at for at, value in enumerate(ordered)}
    tables = np.zeros((len(units), len(ordered), len(ordered)))
    for table, unit in zip(tables, units, strict=True):
        counts = np.bincount([numbers[value] for value in unit], minlength=len(ordered))
        table += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    return tables


def _alpha(tables: FloatArray) -> FloatArray:
    """Return alpha of summed coincidences [b, V, V]; NaN where all values are the same."""
    totals = tables.sum(2)  # [b, V]
    n = totals.sum(1)
    observed = n - np.trace(tables, axis1=1, axis2=2)
    expected = (n**2 - (totals**2).sum(1)) / (n - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - observed / np.where(expected > 0, expected, np.nan))


def _kappa(tables: FloatArray) -> FloatArray:
    """Return kappa of summed tables [b, V, V]; NaN where chance alone would agree always."""
    n = tables.sum((1, 2))
    agreed = np.trace(tables, axis1=1, axis2=2) / n
    chance = (tables.sum(1) * tables.sum(2)).sum(1) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((agreed - chance) / np.where(chance < 1, 1 - chance, np.nan))


def _reliability(
    tables: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    ratings: int,
    resampling: Resampling,
) -> Reliability:
    whole = tables.sum(0, keepdims=True)
    value = float(statistic(whole)[0])
    return Reliability(
        value=None if np.isnan(value) else value,
        interval=None if np.isnan(value) else _interval(tables, statistic, resampling),
        agreement=float(np.trace(whole[0]) / whole.sum()),
        units=len(tables),
        ratings=ratings,
    )


def _interval(
    tables: FloatArray, statistic: Callable[[FloatArray], FloatArray], resampling: Resampling
) -> Interval | None:
    """Return the percentile interval over units, its tails widened for few units (Hesterberg)."""
    units = len(tables)
    if units < _FEWEST_UNITS:
        return None
    flat = tables.reshape(units, -1)
    drawn = np.concatenate(
        [
            statistic((counts @ flat).reshape(-1, *tables.shape[1:]))
            for counts in draw_counts(units, resampling.draws, resampling.seed)
        ]
    )
    from scipy.special import ndtr

    wide = t_quantile((1 + resampling.level) / 2, units - 1) * (units / (units - 1)) ** 0.5
    tail = float(ndtr(-wide))
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Interval(float(low), float(high))
