"""Weigh KPIs in units of their minimal important difference: their sum, and when it pays.

Shapes: n rows of a KPI, G clusters over all KPIs, b draws of a block.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clairkit.errors import UsageError
from clairkit.intervals import Interval
from clairkit.statistics.change import arm_influences, as_arm, mean_change
from clairkit.statistics.clusters import draw_counts
from clairkit.statistics.estimates import (
    Estimate,
    FloatArray,
    Note,
    Resampling,
    studentized_interval,
)

_CHANGE = "difference of means, clustered sandwich variance, Student's t"
_JOINT = "studentized bootstrap over clusters, all KPIs together"


@dataclass(frozen=True)
class Kpi:
    """A measure of both arms.

    Attributes:
        name: of the KPI.
        unit: of its values.
        higher_is_better: its direction.
        mid: minimal important difference, above 0, in its unit.
        weight: how much one MID counts in the utility, 0 or more.
        values: [n] rows of both arms.
        is_candidate: [n] the arm of each row.
        clusters: [n] what each row belongs to: the prompt or the customer, the same name in each
            KPI; None when its rows are independent of each other and of other KPIs.
    """

    name: str
    unit: str
    higher_is_better: bool
    mid: float
    weight: float
    values: Sequence[float] | FloatArray
    is_candidate: Sequence[bool]
    clusters: Sequence[Hashable] | None = None

    def __post_init__(self) -> None:
        if not self.mid > 0 or not self.weight >= 0:
            problem = f"KPI {self.name} needs a MID above 0 and a weight of 0 or more"
            raise UsageError(problem, received=f"mid {self.mid}, weight {self.weight}")

    @property
    def factor(self) -> float:
        """Return MIDs a unit, above 0 where more is better."""
        return (1 if self.higher_is_better else -1) / self.mid


@dataclass(frozen=True)
class KpiChange:
    """The change of a KPI.

    Attributes:
        kpi: which.
        change: candidate minus baseline, in its unit.
        mids: the benefit in multiples of the MID; above 0 is better, whatever the direction.
    """

    kpi: Kpi
    change: Estimate
    mids: Estimate


@dataclass(frozen=True)
class Utility:
    """The weighted sum of benefits.

    Attributes:
        estimate: U = sum of weight * benefit in MIDs.
        changes: of each KPI.
    """

    estimate: Estimate
    changes: tuple[KpiChange, ...]


@dataclass(frozen=True)
class BreakEven:
    """When what was spent has come back.

    Attributes:
        months: None when it never does.
        low: months at the upper end of the utility's interval.
        high: months at its lower end; infinite when it never does there.
    """

    months: float | None
    low: float
    high: float


def kpi_change(kpi: Kpi, level: float = 0.95) -> KpiChange:
    """Return the change of a KPI, in its unit and in MIDs."""
    change = mean_change(kpi.values, kpi.is_candidate, kpi.clusters).to_estimate(level, _CHANGE)
    return KpiChange(kpi, change, _scaled(change, kpi.factor))


def utility(kpis: Sequence[Kpi], resampling: Resampling | None = None) -> Utility:
    """Return the utility, all KPIs resampled together so that what moves together stays together.

    Args:
        kpis: at least one, each with a name of its own.
        resampling: level, draws and seed.

    Raises:
        UsageError: there is no KPI, or two have one name.
    """
    resampling = resampling or Resampling()
    names = [kpi.name for kpi in kpis]
    if not names or len(set(names)) < len(names):
        problem = "a utility needs KPIs, each with a name of its own"
        raise UsageError(problem, received=", ".join(names) or "none")
    changes = tuple(kpi_change(kpi, resampling.level) for kpi in kpis)
    arms = _Arms(kpis)
    value = sum(kpi.weight * each.mids.estimate for kpi, each in zip(kpis, changes, strict=True))
    found = Estimate(
        estimate=value,
        interval=None,
        standard_error=arms.error(),
        n=sum(each.change.n for each in changes),
        clusters=arms.count,
        level=resampling.level,
        method=_JOINT,
    )
    weighed = [each for each in changes if each.kpi.weight]
    if not weighed or any(each.change.is_too_few for each in weighed):
        return Utility(replace(found, notes=(Note.TOO_FEW,)), changes)
    draws = arms.draw(resampling)
    interval = studentized_interval(value, found.standard_error, draws, resampling.level)
    notes = () if interval else (Note.TOO_FEW,)
    return Utility(replace(found, interval=interval, notes=notes), changes)


def break_even(found: Estimate, *, once: float, monthly: float, value_of_mid: float) -> BreakEven:
    """Return the months until the value of the utility has paid what was spent.

    once / (value_of_mid * U - monthly), at the estimate and at both ends of its interval: fewer
    months with more utility, so that the ends stay the ends.

    Args:
        found: the utility, in MIDs.
        once: what was spent, 0 or more, in a currency.
        monthly: what running it costs more a month, in the same currency.
        value_of_mid: what one MID is worth a month, above 0.

    Raises:
        UsageError: an amount is out of its range.
    """
    if not (once >= 0 and value_of_mid > 0 and math.isfinite(monthly)):
        problem = "break-even needs costs of 0 or more and a value of one MID above 0"
        raise UsageError(problem, received=f"{once}, {monthly}, {value_of_mid}")

    def months(mids: float) -> float:
        gain = value_of_mid * mids - monthly
        return once / gain if gain > 0 else math.inf

    middle = months(found.estimate)
    interval = found.interval or Interval(-math.inf, math.inf)
    return BreakEven(
        months=middle if math.isfinite(middle) else None,
        low=months(interval.high) if math.isfinite(interval.high) else 0.0,
        high=months(interval.low) if math.isfinite(interval.low) else math.inf,
    )


def _scaled(found: Estimate, factor: float) -> Estimate:
    interval = found.interval
    if interval is not None:
        interval = Interval(*sorted((interval.low * factor, interval.high * factor)))
    return replace(
        found,
        estimate=found.estimate * factor,
        interval=interval,
        standard_error=found.standard_error * abs(factor),
    )


class _Arms:
    """Sums of each KPI, arm and cluster, which is all that a draw of clusters needs."""

    def __init__(self, kpis: Sequence[Kpi]) -> None:
        self._numbers: dict[Hashable, int] = {}
        codes = [self._codes(at, kpi) for at, kpi in enumerate(kpis)]
        self.count = len(self._numbers)
        self._sums: list[tuple[float, FloatArray, FloatArray]] = []  # factor, sizes, sums [G]
        self._influence = np.zeros(self.count)
        for kpi, code in zip(kpis, codes, strict=True):
            values = np.asarray(kpi.values, dtype=np.float64)
            arm = as_arm(kpi.is_candidate, len(values))
            factor = kpi.weight * kpi.factor
            self._influence += self._total(code, factor * arm_influences(values, arm))
            for side, sign in ((arm, 1.0), (~arm, -1.0)):
                sizes = self._total(code[side], np.ones(int(side.sum())))
                self._sums.append((sign * factor, sizes, self._total(code[side], values[side])))

    def error(self) -> float:
        """Return the sandwich standard error of the utility."""
        return float(np.sqrt((self._influence**2).sum()))

    def draw(self, resampling: Resampling) -> tuple[FloatArray, FloatArray]:
        """Return the utilities of bootstrap draws and their standard errors, [B] each."""
        found = [
            self._draw(counts)
            for counts in draw_counts(self.count, resampling.draws, resampling.seed)
        ]
        return np.concatenate([each for each, _ in found]), np.concatenate(
            [each for _, each in found]
        )

    def _draw(self, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        value = np.zeros(len(counts))
        influence = np.zeros_like(counts)
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw without one arm is NaN
            for factor, sizes, sums in self._sums:
                rows = counts @ sizes
                means = counts @ sums / rows
                value += factor * means
                influence += factor * (sums - means[:, None] * sizes) / rows[:, None]
            return value, np.sqrt((counts * influence**2).sum(1))

    def _codes(self, at: int, kpi: Kpi) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        labels: Sequence[Hashable] = (
            [("row", at, row) for row in range(len(kpi.values))]
            if kpi.clusters is None
            else [("cluster", label) for label in kpi.clusters]
        )
        codes = [self._numbers.setdefault(label, len(self._numbers)) for label in labels]
        return np.array(codes, dtype=np.intp)

    def _total(
        self, codes: np.ndarray[tuple[int], np.dtype[np.intp]], values: FloatArray
    ) -> FloatArray:
        return np.bincount(codes, weights=values, minlength=self.count).astype(np.float64)
