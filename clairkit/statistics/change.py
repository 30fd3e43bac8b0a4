"""Estimate changes from a baseline to a candidate: of means by arm, of right answers by prompt.

An arm is what one model did. The same clusters (prompts, customers) may be in both arms, and then
the change is a paired one.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clairkit.errors import UsageError
from clairkit.intervals import Interval, newcombe
from clairkit.statistics.clusters import Clusters, as_values, cluster, sandwich_error
from clairkit.statistics.estimates import (
    Estimate,
    FloatArray,
    Note,
    t_quantile,
    t_tail,
)

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Change:
    """A change, and how far chance may have moved it; above 0 is better.

    Attributes:
        estimate: candidate minus baseline, in its unit.
        standard_error: clustered, with its small-sample factor.
        dof: degrees of freedom of the standard error.
        n: rows behind it; prompts where paired.
        clusters: independent groups behind it.
        cells: of right answers, the prompts with both right, gained, lost and neither, scaled to
            the effective number of prompts; None for means.
    """

    estimate: float
    standard_error: float
    dof: float
    n: int
    clusters: int
    cells: tuple[float, float, float, float] | None = None

    @property
    def is_too_few(self) -> bool:
        """Whether nothing can be said of its spread."""
        return self.dof <= 0 or (self.cells is None and not self.standard_error > 0)

    def bounds(self, tail: float) -> tuple[float, float]:
        """Return the bounds that the change is below, or above, with the chance `tail` each."""
        if self.is_too_few:
            return -math.inf, math.inf
        quantile = t_quantile(1 - tail, self.dof)
        if self.cells is not None:
            return newcombe(self.cells, quantile)
        half = quantile * self.standard_error
        return self.estimate - half, self.estimate + half

    def p_value(self, threshold: float) -> float:
        """Return the smallest tail whose lower bound lies at the threshold or above it."""
        if self.is_too_few:
            return 1.0
        if self.cells is None:
            return t_tail((self.estimate - threshold) / self.standard_error, self.dof)
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            met = self._ends(middle) >= threshold
            low, high = (low, middle) if met else (middle, high)
        return high

    def _ends(self, tail: float) -> float:
        """Return the lower bound; beyond a tail of one half, the upper bound of the other tail."""
        return self.bounds(tail)[0] if tail <= 0.5 else self.bounds(1 - tail)[1]

    def to_estimate(self, level: float, method: str) -> Estimate:
        """Return it with its two-sided interval."""
        found = Estimate(
            estimate=self.estimate,
            interval=None,
            standard_error=self.standard_error,
            n=self.n,
            clusters=self.clusters,
            level=level,
            method=method,
        )
        if self.is_too_few:
            note = Note.ONE_CLUSTER if self.dof <= 0 else Note.ALL_EQUAL
            return replace(found, notes=(Note.TOO_FEW, note))
        return replace(found, interval=Interval(*self.bounds((1 - level) / 2)))


def paired_binary_change(
    before: Sequence[bool],
    after: Sequence[bool],
    labels: Sequence[Hashable] | None = None,
) -> Change:
    """Return the change of the share of right answers on the same prompts.

    Its bounds are Newcombe's paired ones (method 10). With clusters, the table of pairs is scaled
    to the number of independent prompts that would have the same standard error as the clustered
    sandwich gives, and Student's t takes the place of the normal quantile.

    Args:
        before: [n] whether each of the baseline's answers was right.
        after: [n] the same for the candidate's.
        labels: [n] cluster of each prompt; None when prompts are independent.

    Raises:
        UsageError: the lengths differ, or there is no prompt.
    """
    if len(before) != len(after):
        problem = "a paired change needs the same prompts on both sides"
        raise UsageError(problem, received=f"{len(before)} and {len(after)}")
    groups = cluster(labels, len(after))
    first, second = np.array(before, dtype=bool), np.array(after, dtype=bool)
    n = len(first)
    change = second.astype(np.float64) - first
    error = sandwich_error((change - change.mean()) / n, groups) * groups.correction**0.5
    cells = [first & second, ~first & second, first & ~second, ~first & ~second]
    scale = 1.0 if labels is None else _independent(change, error, groups) / n
    both, gained, lost, neither = (float(cell.sum()) * scale for cell in cells)
    return Change(
        estimate=float(change.mean()),
        standard_error=error,
        dof=math.inf if labels is None else groups.dof,
        n=n,
        clusters=groups.count,
        cells=(both, gained, lost, neither),
    )


def _independent(change: FloatArray, error: float, groups: Clusters) -> float:
    """Return the number of independent prompts with the same standard error, from 1 to n."""
    if error <= _ROUNDING:
        return groups.effective
    return float(np.clip(change.var() / error**2, 1.0, len(change)))


def mean_change(
    values: Sequence[float] | FloatArray,
    is_candidate: Sequence[bool],
    labels: Sequence[Hashable] | None = None,
) -> Change:
    """Return the difference of the arms' means, candidate minus baseline.

    Degrees of freedom: of the clusters where some are in both arms (paired), Welch's where none is.

    Args:
        values: [n] of both arms' rows.
        is_candidate: [n] the arm of each.
        labels: [n] cluster of each row: the prompt where each arm answered it, the customer in a
            log; None when all rows are independent.

    Raises:
        UsageError: an arm has no row, a value is not finite, or the lengths differ.
    """
    numbers = as_values(values, "a KPI", is_share=False)
    arm = as_arm(is_candidate, len(numbers))
    groups = cluster(labels, len(numbers))
    influences = arm_influences(numbers, arm)
    estimate = float(numbers[arm].mean() - numbers[~arm].mean())
    variance, dof = _variance(influences, arm, groups)
    smallest = _ROUNDING * max(1.0, float(np.abs(numbers).max()))
    error = math.sqrt(variance)
    return Change(
        estimate=estimate,
        standard_error=error if error > smallest else 0.0,
        dof=dof,
        n=len(numbers),
        clusters=groups.count,
    )


def as_arm(is_candidate: Sequence[bool], n: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the arms as an array.

    Raises:
        UsageError: there is not one a row, or an arm has no row.
    """
    arm = np.array(is_candidate, dtype=bool)
    if len(arm) != n:
        raise UsageError("there must be one arm a row", received=f"{len(arm)} arms, {n} rows")
    if arm.all() or not arm.any():
        problem = "a change needs rows of both arms"
        raise UsageError(problem, received=f"{int(arm.sum())} of the candidate, {n} in all")
    return arm


def arm_influences(
    values: FloatArray, arm: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> FloatArray:
    """Return what each row adds to the error of the difference of means, [n]."""
    influences = np.empty(len(values))
    for side, sign in ((arm, 1.0), (~arm, -1.0)):
        inside = values[side]
        influences[side] = sign * (inside - inside.mean()) / len(inside)
    return influences


def _variance(
    influences: FloatArray, arm: np.ndarray[tuple[int], np.dtype[np.bool_]], groups: Clusters
) -> tuple[float, float]:
    """Return the variance with its small-sample factor, and its degrees of freedom."""
    sides = [_within(groups, side) for side in (arm, ~arm)]
    parts = [
        sandwich_error(influences[side], inside) ** 2 * inside.correction
        for side, inside in zip((arm, ~arm), sides, strict=True)
    ]
    if len(set(groups.codes[arm]) & set(groups.codes[~arm])):
        variance = sandwich_error(influences, groups) ** 2 * groups.correction
        return variance, min(groups.dof, *(max(side.count - 1, 0) for side in sides))
    if min(side.dof for side in sides) <= 0:
        return sum(parts), 0.0
    welch = sum(part**2 / side.dof for part, side in zip(parts, sides, strict=True))
    return sum(parts), sum(parts) ** 2 / welch if welch > 0 else min(side.dof for side in sides)


def _within(groups: Clusters, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Clusters:
    kept, codes = np.unique(groups.codes[rows], return_inverse=True)
    return Clusters(codes, len(kept))
