"""Test guards together: what must not get worse than a margin allows (non-inferiority, Holm)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from clairkit.errors import UsageError
from clairkit.statistics.change import Change


class GuardStatus(StrEnum):
    """What the data say of a guard."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Guard:
    """What must not get worse.

    Attributes:
        name: of the guard.
        change: candidate minus baseline, above 0 better.
        margin: the loss that is borne, 0 or more, in the unit of the change.
    """

    name: str
    change: Change
    margin: float

    def __post_init__(self) -> None:
        if not self.margin >= 0:
            problem = f"the margin of guard {self.name} must be 0 or more"
            raise UsageError(problem, received=self.margin)


@dataclass(frozen=True)
class GuardResult:
    """A guard after the test.

    Attributes:
        guard: which.
        status: it holds (no worse than the margin is shown), is violated (worse is shown), or
            neither is shown.
        lower: one-sided lower bound of the change, at `level`.
        level: of the bound, after Holm's correction.
        p_value: of "the change is below -margin", before correction.
    """

    guard: Guard
    status: GuardStatus
    lower: float
    level: float
    p_value: float


def check_guards(guards: Sequence[Guard], alpha: float = 0.05) -> list[GuardResult]:
    """Test all guards together; no gain elsewhere buys one off.

    A guard holds when the one-sided lower bound of its change is at least -margin. Holm's
    step-down keeps the chance that any guard passes which should not at alpha: of m guards, the
    one with the smallest p-value is bounded at 1 - alpha / m, the next at 1 - alpha / (m - 1), and
    after the first that does not pass, none does. A guard is violated when the upper bound at
    1 - alpha lies below -margin.

    Args:
        guards: in the order in which they are to be shown.
        alpha: in (0, 1).

    Returns:
        The results in the same order.

    Raises:
        UsageError: alpha is outside (0, 1), or two guards have one name.
    """
    if not 0 < alpha < 1:
        raise UsageError("alpha must lie between 0 and 1", received=alpha)
    names = [guard.name for guard in guards]
    if len(set(names)) < len(names):
        raise UsageError("each guard needs a name of its own", received=", ".join(names))
    p_values = [guard.change.p_value(-guard.margin) for guard in guards]
    results: dict[int, GuardResult] = {}
    passing = True
    for rank, place in enumerate(sorted(range(len(guards)), key=lambda at: p_values[at])):
        tail = alpha / (len(guards) - rank)
        passing = passing and p_values[place] <= tail
        results[place] = _result(guards[place], p_values[place], tail, alpha, passing)
    return [results[place] for place in range(len(guards))]


def _result(guard: Guard, p_value: float, tail: float, alpha: float, passes: bool) -> GuardResult:
    status = GuardStatus.HOLDS if passes else GuardStatus.UNDECIDED
    if guard.change.bounds(alpha)[1] < -guard.margin:
        status = GuardStatus.VIOLATED
    return GuardResult(guard, status, guard.change.bounds(tail)[0], 1 - tail, p_value)
