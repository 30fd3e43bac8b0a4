"""Share among the running calls of a run when to stop and what may still be spent."""

from __future__ import annotations

import asyncio
import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from clairkit.errors import ClairError, RemoteError
from clairkit.models.sampling import Outcome, Reply

_MILLION = 1_000_000


class CostOf(Protocol):
    """A table of prices."""

    def cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
        """Return US$; None when the model's price is not known."""


@dataclass(frozen=True)
class Spent:
    """What the results of one model took so far."""

    results: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class ReachedCap:
    """The cap that ended a run, and what the calls that came next would have made of it.

    Attributes:
        option: `max_calls` or `max_cost`.
        cap: as it was given.
        done: calls, or US$, so far.
        needed: the least cap under which the next calls go out; those of a batch go together.
    """

    option: str
    cap: float
    done: float
    needed: float

    @property
    def raised(self) -> float:
        """Return a cap to go on with: as much again, and enough for the next calls."""
        higher = max(2 * self.cap, self.needed)
        return int(higher) if self.option == "max_calls" else math.ceil(100 * higher) / 100


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=2)


class Budget:
    """Says whether another call may be made.

    Args:
        max_calls: the most calls in all; None is no limit.
        calls: how many an earlier part of the run made.
        max_cost: the most US$ in all; None is no limit.
        prices: what tokens cost; needed with `max_cost`.
        spent: what an earlier part of the run took, by model.

    Attributes:
        earlier: the calls of an earlier part of the run.
        reached: the cap that ended the run, if one did.
        say: told remarks for the user; else they are warnings.
    """

    def __init__(
        self,
        max_calls: int | None = None,
        calls: int = 0,
        *,
        max_cost: float | None = None,
        prices: CostOf | None = None,
        spent: Mapping[str, Spent] | None = None,
    ) -> None:
        self.calls = self.earlier = calls
        self.error: ClairError | None = None
        self.signal: int | None = None
        self.reached: ReachedCap | None = None
        self.say: Callable[[str], None] = _warn
        self.max_cost = max_cost
        self._max_calls = max_calls
        self._prices = prices
        self._costs = {name: each.cost for name, each in (spent or {}).items()}
        self._results = Counter({name: each.results for name, each in (spent or {}).items()})
        self._reserved = 0.0
        self._unpriced: set[str] = set()
        self._halted = asyncio.Event()

    @property
    def halted(self) -> bool:
        return self._halted.is_set()

    @property
    def over_budget(self) -> bool:
        """Whether a cap ended the run."""
        return self.reached is not None

    @property
    def cost(self) -> float | None:
        """US$ so far; None when the price of a model that was asked is not known."""
        return None if self._prices is None or self._unpriced else sum(self._costs.values())

    def halt(self, *, error: ClairError | None = None, signal: int | None = None) -> None:
        """Let what is in flight end, and start nothing more. The first cause is kept."""
        if not self.halted:
            self.error, self.signal = error, signal
        self._halted.set()

    def take(self, count: int = 1) -> bool:
        """Claim `count` calls; False when the run stops, or would go over its limit."""
        if self.halted:
            return False
        if self._max_calls is not None and self.calls + count > self._max_calls:
            needed = self.calls + count
            self._stop(ReachedCap("max_calls", self._max_calls, self.calls, needed))
            return False
        self.calls += count
        return True

    def must_wait(self, model: str) -> bool:
        """Whether one call of `model` has to show first what a call costs."""
        return self.max_cost is not None and not self._results[model]

    def reserve(self, model: str, count: int) -> float | None:
        """Set aside the mean cost of `count` calls; None when that would go over the cap.

        The amount is handed back by `settle`.
        """
        if self.max_cost is None:
            return 0.0
        results = self._results[model]
        amount = count * self._costs[model] / results if results else 0.0
        spent = sum(self._costs.values())
        if spent + self._reserved + amount > self.max_cost or spent >= self.max_cost:
            needed = spent + self._reserved + amount
            self._stop(ReachedCap("max_cost", self.max_cost, spent, needed))
            return None
        self._reserved += amount
        return amount

    def settle(self, model: str, outcomes: Sequence[Outcome], reserved: float) -> None:
        """Count what results took, and let go of what was set aside for them."""
        self._reserved -= reserved
        if self._prices is None:
            return
        for outcome in outcomes:
            cost = self._prices.cost(model, outcome.prompt_tokens, outcome.completion_tokens)
            if cost is None:
                self._unpriced.add(model)
                continue
            self._costs[model] = self._costs.get(model, 0.0) + cost
            self._results[model] += isinstance(outcome, Reply) or cost > 0
            if self.max_cost is not None and not cost and isinstance(outcome, Reply):
                self._check_counted(model, self._prices)

    def _check_counted(self, model: str, prices: CostOf) -> None:
        """A server that counts no tokens would never reach the cap."""
        if prices.cost(model, _MILLION, _MILLION):
            self.halt(
                error=RemoteError(
                    f"the server of {model} does not say how many tokens it took, so that "
                    "a cap on the cost can't be kept",
                    remedy="limit the run with --max-calls instead of --max-cost",
                )
            )

    def _stop(self, reached: ReachedCap) -> None:
        if not self.halted:
            self.reached = reached
        self.halt()

    async def sleep(self, seconds: float) -> bool:
        """Wait; False when the run stopped in the meantime."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._halted.wait(), seconds)
        return not self.halted
