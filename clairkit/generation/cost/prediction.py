"""Predict a total from what is measured so far, with a range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CostRange:
    """An estimate between its lower and its upper end."""

    estimate: float
    low: float
    high: float

    def __add__(self, other: CostRange) -> CostRange:
        """Return the range of a sum whose parts may miss in the same direction."""
        return CostRange(
            self.estimate + other.estimate, self.low + other.low, self.high + other.high
        )


def predict_total(
    measured: Sequence[tuple[float, float]], rest: float, units: int, confidence: float = 0.95
) -> CostRange:
    """Return the total over units that are not measured, by the ratio of measured to expected.

    With y the measured and m the expected size of a unit, the total is R M with
    R = sum y / sum m. Its error has the variance s^2 (n (M / sum m)^2 + N): that of the ratio
    (Cochran, Sampling Techniques, 1977, section 6.4) and that of the N units themselves, with
    s^2 = sum (y - R m)^2 / (n - 1) and Student's t for n - 1. For few units and skewed sizes such
    a range holds the truth a little less often than `confidence` says.

    Args:
        measured: (y, m) of at least two units, m above 0.
        rest: M, the sum of m over the units that are not measured.
        units: N, how many they are.
        confidence: of the range, in (0, 1).

    Raises:
        ValueError: fewer than two units are measured.
    """
    from scipy.special import stdtrit

    n = len(measured)
    if n < 2:
        raise ValueError("a range needs two measured units")
    total = sum(m for _, m in measured)
    ratio = sum(y for y, _ in measured) / total
    residual = sum((y - ratio * m) ** 2 for y, m in measured) / (n - 1)
    quantile = float(stdtrit(n - 1, (1 + confidence) / 2))
    half = quantile * math.sqrt(residual * (n * (rest / total) ** 2 + units))
    estimate = ratio * rest
    return CostRange(estimate, max(0.0, estimate - half), estimate + half)
