"""Compute axes: round ticks, their labels, and the way from values to places on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A linear way from the values `low`..`high` to the places `start`..`end`, in px."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        # halves, since the span of two large values of opposite sign can overflow
        span = self.high / 2 - self.low / 2
        return self.start + (value / 2 - self.low / 2) / span * (self.end - self.start)


def domain(values: Iterable[float], padding: float = 0.06) -> tuple[float, float]:
    """Return ends that hold all finite values, with some room; never an empty stretch."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    # below this a double can't tell the ends apart
    if high / 2 - low / 2 <= max(abs(low), abs(high)) * 1e-12:
        room = abs(low) * 0.1 or 1.0
    else:
        room = (high / 2 - low / 2) * 2 * padding
    return low - room, high + room


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round values in `low`..`high`, about as many as asked for."""
    step = round_step((high / 2 - low / 2) * 2 / about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # a multiple's float is rounded to the step's own digits
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(index * step, digits) + 0.0 for index in range(first, last + 1)]


def whole_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round whole numbers in `low`..`high`: there is no step 2.5."""
    return [value for value in ticks(low, high, about) if value == round(value)]


def round_step(rough: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten, not less than `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor for factor in _ROUND if factor * power >= rough * (1 - 1e-9)) * power


def labels(values: list[float]) -> list[str]:
    """Return the texts of ticks, with equal decimals and a real minus."""
    largest = max(map(abs, values), default=0.0)
    if largest >= 1e6 or 0 < largest < 1e-3:
        return [_minus(f"{value:.3g}") for value in values]
    if largest >= 10_000 and all(value % 100 == 0 for value in values):
        return [_minus(f"{value / 1000:g}k" if value else "0") for value in values]
    decimals = next(
        (n for n in range(6) if all(abs(v - round(v, n)) < 1e-9 * largest for v in values)), 6
    )
    return [_minus(f"{value:.{decimals}f}") for value in values]


def number(value: float) -> str:
    """Return a measured value for reading: three significant digits, a real minus."""
    if not math.isfinite(value):
        return _minus(str(value))
    text = f"{value:.3g}"
    if "e" in text and 1e-4 <= abs(value) < 1e9:
        text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.6f}"
    return _minus(text)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
