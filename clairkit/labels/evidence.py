"""What votes can show: the mixture e-process, how many more are needed, agreement of raters."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product

from clairkit.statistics.e_process import log_e_value

ALPHA = 0.05
_MOST = 4096
"""More votes than this are no plan for people."""


def is_enough(wins: float, losses: float, alpha: float = ALPHA) -> bool:
    """Say whether a preference is beyond chance, at whatever moment it is looked."""
    return log_e_value(wins, losses) >= -math.log(alpha)


def decisions_needed(wins: int, losses: int, alpha: float = ALPHA) -> int | None:
    """Return about how many further decisions are enough, if the share stays; None if very many.

    The share is taken as (w + 1) / (w + l + 2), which is never 0 or 1.
    """
    if is_enough(wins, losses, alpha):
        return 0
    share = (wins + 1) / (wins + losses + 2)
    for further in range(1, _MOST):
        if is_enough(wins + share * further, losses + (1 - share) * further, alpha):
            return further
    return None


def least_share(decisions: int, alpha: float = ALPHA) -> float | None:
    """Return the least share of one side that is enough with so many decisions, or None."""
    majorities = range(math.ceil(decisions / 2), decisions + 1)
    at = bisect_left(majorities, True, key=lambda wins: is_enough(wins, decisions - wins, alpha))
    return majorities[at] / decisions if at < len(majorities) else None


def nominal_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Return Krippendorff's alpha for names: 1 is full agreement, 0 what chance gives.

    Args:
        units: what the raters said of each item; items that one rater alone has are passed over.

    Returns:
        None where nobody could disagree: no item has two ratings, or all say the same.
    """
    weights: dict[tuple[str, str], float] = {}
    for unit in units:
        counts = Counter(unit)
        for one, other in product(counts, repeat=2) if len(unit) > 1 else ():
            found = counts[one] * (counts[other] - (one == other)) / (len(unit) - 1)
            weights[one, other] = weights.get((one, other), 0.0) + found
    totals: dict[str, float] = {}
    for (one, _), weight in weights.items():
        totals[one] = totals.get(one, 0.0) + weight
    size = sum(totals.values())
    disagreed = sum(weight for (one, other), weight in weights.items() if one != other)
    chance = size * size - sum(total * total for total in totals.values())
    return 1 - (size - 1) * disagreed / chance if chance else None
