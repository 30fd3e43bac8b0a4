"""Share one budget among all workers: caps are kept, and a stop reaches everyone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from clairkit.errors import ClairError
from clairkit.models.budget import Budget, ReachedCap
from clairkit.models.sampling import Outcome

Ask = Callable[..., Any]
"""Calls a method of the shared budget by its name, wherever it runs; returns its result."""


class SharedBudget:
    """Holds the run's budget; workers ask it before every call."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def take(self, count: int) -> bool:
        """Claim `count` calls."""
        return self._budget.take(count)

    def must_wait(self, model: str) -> bool:
        """Whether a call has to show first what it costs."""
        return self._budget.must_wait(model)

    def reserve(self, model: str, count: int) -> float | None:
        """Set aside what calls may cost; None when the run stops or would go over its cap."""
        return None if self._budget.halted else self._budget.reserve(model, count)

    def settle(self, model: str, outcomes: Sequence[Outcome], reserved: float) -> None:
        """Count what results took."""
        self._budget.settle(model, outcomes, reserved)

    def halt(self) -> None:
        """Let what is in flight end, and start nothing more."""
        self._budget.halt()

    def verdict(self) -> tuple[ReachedCap | None, ClairError | None]:
        """Return the cap that was reached and the error that stopped the run, if one was."""
        return self._budget.reached, self._budget.error


class WorkerBudget(Budget):
    """The budget of one worker. It asks the shared one for what concerns all."""

    def __init__(self, ask: Ask, *, max_calls: int | None, max_cost: float | None) -> None:
        super().__init__(max_calls, max_cost=max_cost)
        self._ask = ask

    def take(self, count: int = 1) -> bool:
        if self.halted:
            return False
        if self._max_calls is not None and not self._ask("take", count):
            self.halt()
            return False
        self.calls += count
        return True

    def must_wait(self, model: str) -> bool:
        return self.max_cost is not None and bool(self._ask("must_wait", model))

    def reserve(self, model: str, count: int) -> float | None:
        amount: float | None = self._ask("reserve", model, count)  # a stop is seen here, too
        if amount is None:
            self.halt()
        return amount

    def settle(self, model: str, outcomes: Sequence[Outcome], reserved: float) -> None:
        if self.max_cost is not None:
            self._ask("settle", model, [replace(each, text="") for each in outcomes], reserved)
