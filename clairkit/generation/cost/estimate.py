"""Estimate what a run still takes, by role (`--dry-run`).

Each row's calls are expected from its texts. Rows that are done already, or were asked as probes,
show by how much that is off: their ratio corrects the forecast, their spread makes its range.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from clairkit.engine.program import Call
from clairkit.engine.replay import Open, known, trace
from clairkit.generation.cost.expected_calls import ExpectedCall, expected_calls
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal, Recorded
from clairkit.models.requests import Model
from clairkit.records import PromptRow

_FIELDS = ("calls", "prompt_tokens", "completion_tokens", "cost")
_LEAST_MEASURED = 2
Place = tuple[str, str]
"""A role and what is counted of it."""
Sizes = dict[Place, float]


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


class Asking(Protocol):
    """What asks models for each row: a method of making pairs, or an evaluation."""

    @property
    def models(self) -> Mapping[str, Model]:
        """The models by role."""

    def program(self, row: PromptRow) -> Generator[Sequence[Call], Sequence[Recorded], object]:
        """Return the program of a row."""


@dataclass(frozen=True)
class RoleEstimate:
    """What the calls of one model still take.

    Attributes:
        role: all roles that the model has.
        model: its spec.
        calls: requests, those that are made again included.
        prompt_tokens: what it reads.
        completion_tokens: what it writes, its thoughts included.
        cost: in US$; None when it has no price.
        is_measured: whether the ranges come from rows that are done; else they are half to twice
            the forecast, which is an assumption.
    """

    role: str
    model: str
    calls: CostRange
    prompt_tokens: CostRange
    completion_tokens: CostRange
    cost: CostRange | None
    is_measured: bool


@dataclass(frozen=True)
class Estimate:
    """What a run still takes.

    Attributes:
        rows: prompt rows.
        done: rows that need no further call.
        measured: done rows that took calls.
        roles: the models with what they still take.
        cost: of all in US$; None when a model has no price. Its ends are the sums of the roles'.
        unpriced: the models without a price.
    """

    rows: int
    done: int
    measured: int
    roles: tuple[RoleEstimate, ...]
    cost: CostRange | None
    unpriced: tuple[str, ...]


def choose_probes(rows: Iterable[PromptRow], count: int, *, seed: int = 0) -> list[PromptRow]:
    """Return rows drawn at random: the same ones each time, and with a higher count more of them.

    Args:
        rows: read once; only the chosen ones are held.
        count: how many.
        seed: another one draws others.
    """

    def draw(row: PromptRow) -> bytes:
        return hashlib.sha256(f"{seed}:{row.id}".encode("utf-8", "backslashreplace")).digest()

    return heapq.nsmallest(count, rows, key=draw)


def estimate(
    rows: Iterable[PromptRow],
    method: Asking,
    prices: Prices,
    journal: Journal | None = None,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Return what is still to be asked for these rows. Nothing is asked and nothing written.

    Args:
        rows: read once and not held.
        method: what is asked for each row.
        prices: of the models.
        journal: what is known already; None for a run from the start.
        confidence: of measured ranges.
    """
    totals = _Totals(method, prices)
    for row in rows:
        work = partial(method.program, row)
        if journal is None:
            totals.add_open(expected_calls(work, _nothing))
            continue
        found = trace(work, journal, ask_again=True)
        if isinstance(found.result, Open):
            totals.add_open(expected_calls(work, partial(known, journal, ask_again=True)))
        else:
            totals.add_done(expected_calls(work, _nothing), found.steps)
    return totals.close(confidence)


def _nothing(_: Call) -> None:
    """A run from the start has no results."""


@dataclass
class _Series:
    """One quantity of one role: what was measured and expected, and what is expected of the rest.

    `most` is the upper end of the rest, as long as nothing is measured.
    """

    measured: list[tuple[float, float]] = field(default_factory=list)
    rest: float = 0.0
    most: float = 0.0
    units: int = 0


class _Totals:
    """Adds up rows; of those that are open it keeps sums only."""

    def __init__(self, method: Asking, prices: Prices) -> None:
        roles: dict[int, list[str]] = {}
        for role, model in method.models.items():
            roles.setdefault(id(model), []).append(role)
        self._roles = {each: ", ".join(names) for each, names in roles.items()}
        self._models = {self._roles[id(model)]: model.name for model in method.models.values()}
        self._prices = prices
        self._series: dict[Place, _Series] = {}
        self._seen: set[str] = set()
        self._taken: set[str] = set()
        self._open = self._done = self._measured = 0

    def add_open(self, calls: Sequence[ExpectedCall]) -> None:
        """Add a row that is not done."""
        self._open += 1
        expected, most = self._expected(calls)
        for place, size in expected.items():
            series = self._series.setdefault(place, _Series())
            series.rest += size
            series.most += most[place]
            series.units += 1

    def add_done(
        self, calls: Sequence[ExpectedCall], steps: Sequence[tuple[Call, Recorded]]
    ) -> None:
        """Add a row that needs no further call: what it was expected to take, and what it took."""
        self._done += 1
        expected, _ = self._expected(calls)
        took: Sizes = {}
        for call, recorded in steps:
            if call.task.key not in self._taken:
                self._taken.add(call.task.key)
                spent = recorded.outcome
                self._count(took, call, spent.tries, spent.prompt_tokens, spent.completion_tokens)
        self._measured += bool(took)
        for place in {**expected, **took}:
            measured = self._series.setdefault(place, _Series()).measured
            measured.append((took.get(place, 0.0), expected.get(place, 0.0)))

    def close(self, confidence: float) -> Estimate:
        """Return the estimate."""
        used = [role for role in self._models if (role, "calls") in self._series]
        roles = tuple(self._role(role, confidence) for role in used)
        costs = [each.cost for each in roles if each.cost is not None]
        unpriced = tuple(dict.fromkeys(each.model for each in roles if each.cost is None))
        return Estimate(
            rows=self._open + self._done,
            done=self._done,
            measured=self._measured,
            roles=roles,
            cost=None if unpriced else sum(costs, CostRange(0, 0, 0)),
            unpriced=unpriced,
        )

    def _expected(self, calls: Sequence[ExpectedCall]) -> tuple[Sizes, Sizes]:
        """What new calls are expected to take, and at most; rows that share a call share it."""
        expected: Sizes = {}
        most: Sizes = {}
        for each in calls:
            if each.call.task.key not in self._seen:
                self._seen.add(each.call.task.key)
                asked = each.prompt_tokens
                self._count(expected, each.call, 1, asked, each.completion_tokens)
                self._count(most, each.call, 1, 2 * asked, each.longest)
        return expected, most

    def _count(
        self, sizes: Sizes, call: Call, calls: float, prompt: float, completion: float
    ) -> None:
        role, name = self._roles[id(call.model)], call.model.name
        cost = self._prices.cost(name, prompt, completion)
        for place, size in (
            ((role, "calls"), calls),
            ((role, "prompt_tokens"), prompt),
            ((role, "completion_tokens"), completion),
            ((role, "cost"), cost or 0.0),
        ):
            sizes[place] = sizes.get(place, 0.0) + size

    def _role(self, role: str, confidence: float) -> RoleEstimate:
        calls, asked, said, cost = (self._range((role, name), confidence) for name in _FIELDS)
        name = self._models[role]
        is_priced = self._prices.price(name) is not None
        is_measured = len(self._series[role, "calls"].measured) >= _LEAST_MEASURED
        return RoleEstimate(
            role, name, calls, asked, said, cost if is_priced else None, is_measured
        )

    def _range(self, place: Place, confidence: float) -> CostRange:
        series = self._series.get(place, _Series())
        measured, rest, units = series.measured, series.rest, series.units
        is_unexpected = any(expected <= 0 < took for took, expected in measured)
        if is_unexpected and self._done >= _LEAST_MEASURED:
            # Not all of these calls can be expected: they are counted by the row.
            others = self._done - len(measured)
            measured = [*((took, 1.0) for took, _ in measured), *[(0.0, 1.0)] * others]
            rest = units = self._open
        measured = [each for each in measured if each[1] > 0]
        if len(measured) < _LEAST_MEASURED:
            return CostRange(rest, rest if place[1] == "calls" else rest / 2, series.most)
        return predict_total(measured, rest, units, confidence)
