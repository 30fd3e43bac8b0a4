"""Estimate how many prompts or labels would be enough, from the spread that was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clairkit.errors import UsageError
from clairkit.statistics.estimates import Estimate, check_level, normal_quantile


@dataclass(frozen=True)
class Needed:
    """What would be enough.

    Attributes:
        total: rows in all, those at hand among them; None where the effect is 0.
        more: rows beyond those at hand; 0 where they are enough.
        effect: the distance that was to be seen, in the unit of the statistic.
        power: chance to see it with so many.
    """

    total: int | None
    more: int | None
    effect: float
    power: float


def prompts_for_win_rate(win_rate: float, level: float = 0.95, power: float = 0.8) -> int:
    """Return about how many independent prompts tell a win rate from one half.

    (z(level) + z(power))^2 / 4 / (W - 1/2)^2, decided verdicts: 784 for 55 %, 196 for 60 %, 87 for
    65 %, 49 for 70 %.

    Args:
        win_rate: W, in [0, 1], other than 1/2.
        level: of the interval that shall leave 1/2 out.
        power: chance that it does, in (0, 1).

    Raises:
        UsageError: the win rate is 1/2 or outside [0, 1], or level or power outside (0, 1).
    """
    if not 0 <= win_rate <= 1 or win_rate == 0.5:
        problem = "a win rate must lie between 0 and 1 and differ from 1/2"
        raise UsageError(problem, received=win_rate)
    return rows_for_effect(0.5, win_rate - 0.5, level, power)


def rows_for_effect(
    deviation: float, effect: float, level: float = 0.95, power: float = 0.8
) -> int:
    """Return about how many independent rows tell an effect from 0.

    Args:
        deviation: standard deviation of a row.
        effect: the mean to be told from 0, in the unit of the deviation; not 0.
        level: of the two-sided interval.
        power: chance that it leaves 0 out, in (0, 1).

    Raises:
        UsageError: the effect is 0, or level or power outside (0, 1).
    """
    check_level(level)
    check_level(power)
    if effect == 0:
        raise UsageError("no number of rows tells an effect of 0 from 0", received=effect)
    quantiles = normal_quantile((1 + level) / 2) + normal_quantile(power)
    return max(1, math.floor((quantiles * deviation / effect) ** 2))


def needed(
    found: Estimate, threshold: float, effect: float | None = None, power: float = 0.8
) -> Needed:
    """Return how many rows would tell the statistic from a threshold, at the spread that was seen.

    The standard error falls with the root of the rows, in clusters of the same size. An estimate
    that was seen is itself uncertain; where the smallest effect that matters is known, name it.

    Args:
        found: the estimate so far.
        threshold: 1/2 for a win rate, 0 for a change, -margin for a guard.
        effect: distance from the threshold to be seen; None for that of the estimate.
        power: chance to see it, in (0, 1).
    """
    distance = found.estimate - threshold if effect is None else effect
    usable = math.isfinite(distance) and distance != 0
    if not usable or not found.standard_error > 0:
        return Needed(None, None, distance, power)
    deviation = found.standard_error * math.sqrt(found.n)
    total = rows_for_effect(deviation, distance, found.level, power)
    return Needed(total, max(0, total - found.n), distance, power)
