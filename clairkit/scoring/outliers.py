"""Find values far from the others by robust z-scores, which outliers themselves do not move."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

FAR = 3.5
"""The robust z-score beyond which a value is an outlier (Iglewicz and Hoaglin, 1993)."""

FEWEST = 20
"""Fewer values say too little about what is usual."""

_MAD = 1.4826  # median absolute deviation -> standard deviation, of normal values
_MEAN_AD = 1.2533  # mean absolute deviation -> likewise


def outliers(values: Sequence[float | None]) -> Iterator[int]:
    """Return the places of the values that lie far from the others.

    z = (x - median) / (1.4826 MAD). Where more than half of all values are the same, the MAD is 0
    and 1.2533 times the mean absolute deviation takes its place.

    Args:
        values: one a pair; None has no value and is none.
    """
    known = [value for value in values if value is not None]
    if len(known) < FEWEST:
        return
    middle = median(known)
    deviations = [abs(value - middle) for value in known]
    scale = _MAD * median(deviations) or _MEAN_AD * math.fsum(deviations) / len(deviations)
    for place, value in enumerate(values):
        if value is not None and abs(value - middle) > FAR * scale:
            yield place


def log_ratio(ratio: float | None) -> float | None:
    """Return a length ratio's logarithm, so that twice and half lie equally far; None for 0."""
    return math.log(ratio) if ratio else None
