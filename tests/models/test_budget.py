"""What a run may spend: calls, and dollars by the mean cost of a model's calls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from fake_server import Request, Response, as_json, revise, serving

from clairkit.errors import RemoteError, UsageError
from clairkit.generation import BuildResult, BuildSettings
from clairkit.generation.engine import make_budget
from clairkit.journal.prices import Price, Prices
from clairkit.journal.results import Journal, JournalEntry
from clairkit.models.budget import Budget, ReachedCap, Spent
from clairkit.models.sampling import Failure, Reply

Build = Callable[..., BuildResult]
# A reply of the fake server has 7 + 5 tokens: 7 * 1 + 5 * 20 = 107 millionths of a dollar.
PRICES = Prices({"gpt": Price(1.0, 20.0)})
ONE = 107e-6


def capped(cost: float, earlier: Spent | None = None) -> Budget:
    spent = {} if earlier is None else {"openai:gpt": earlier}
    return Budget(max_cost=cost, prices=PRICES, spent=spent)


REPLY = Reply("x", prompt_tokens=7, completion_tokens=5)


def test_the_mean_of_earlier_calls_is_set_aside() -> None:
    budget = capped(10 * ONE, earlier=Spent(results=4, cost=4 * ONE))
    amounts = [budget.reserve("openai:gpt", 1) for _ in range(6)]
    assert amounts == pytest.approx([ONE] * 6)
    assert not budget.halted
    assert budget.reserve("openai:gpt", 1) is None  # with six under way, it could be too much
    assert (budget.halted, budget.over_budget) == (True, True)


@pytest.mark.parametrize(
    ("cap", "before", "count", "needed", "raised"),
    [(5, 0, 16, 16, 16), (40, 32, 16, 48, 80), (1, 1, 1, 2, 2), (10, 30, 1, 31, 31)],
)
def test_a_cap_on_calls_that_is_reached_names_one_that_goes_on(
    cap: int, before: int, count: int, needed: int, raised: int
) -> None:
    budget = Budget(cap, before)
    assert not budget.take(count)
    assert budget.reached == ReachedCap("max_calls", cap, before, needed)
    assert budget.reached.raised == raised
    assert Budget(raised, before).take(count)


def test_a_cap_on_the_cost_is_raised_to_whole_cents() -> None:
    budget = capped(1.5 * ONE, earlier=Spent(results=1, cost=ONE))
    assert budget.reserve("openai:gpt", 1) is None
    assert budget.reached == ReachedCap("max_cost", 1.5 * ONE, ONE, 2 * ONE)
    assert budget.reached.raised == 0.01


def test_what_was_set_aside_comes_back() -> None:
    budget = capped(2.5 * ONE)
    assert budget.must_wait("openai:gpt")
    first = budget.reserve("openai:gpt", 1)
    assert first == 0.0  # nothing is known yet
    budget.settle("openai:gpt", [REPLY], first)
    assert not budget.must_wait("openai:gpt")
    second = budget.reserve("openai:gpt", 1)
    assert second == pytest.approx(ONE)
    budget.settle("openai:gpt", [Failure("request_failed")], second)  # which cost nothing
    assert budget.cost == pytest.approx(ONE)
    assert budget.reserve("openai:gpt", 1) is not None


def test_a_failure_that_took_tokens_costs() -> None:
    budget = capped(1.0)
    budget.settle("openai:gpt", [Failure("refusal", prompt_tokens=7, completion_tokens=5)], 0.0)
    assert budget.cost == pytest.approx(ONE)


def test_without_a_price_the_cost_is_not_known() -> None:
    budget = Budget(prices=PRICES)
    budget.settle("openai:gpt", [REPLY], 0.0)
    assert budget.cost == pytest.approx(ONE)
    budget.settle("openai:other", [REPLY], 0.0)
    assert budget.cost is None


def test_sleep_ends_with_the_run() -> None:
    async def run() -> tuple[bool, bool]:
        budget = Budget()
        slept = await budget.sleep(0.001)
        asyncio.get_running_loop().call_later(0.01, budget.halt)
        return slept, await asyncio.wait_for(budget.sleep(60), 5)

    assert asyncio.run(run()) == (True, False)


def settings(cost: float) -> BuildSettings:
    return BuildSettings(max_cost=cost, prices=PRICES)


def test_a_run_stops_before_the_call_that_would_cost_too_much(build: Build) -> None:
    def slow(request: Request) -> Response:
        time.sleep(0.02)
        return revise(request)

    with serving(slow) as server:
        result = build(server.url, rows=9, concurrency=4, settings=settings(3.5 * ONE))
        assert (result.pairs, result.unfinished, result.over_budget) == (3, 6, True)
        assert result.cost == pytest.approx(3 * ONE)
        assert build(server.url, rows=9, settings=settings(3.5 * ONE)).calls == 3  # not one more
        result = build(server.url, rows=9, concurrency=4, settings=settings(20 * ONE))
        assert (result.pairs, result.unfinished, len(server.requests)) == (9, 0, 9)
        assert server.peak > 1  # alone is only the first call of all


def test_a_cap_needs_a_price(build: Build) -> None:
    with serving(revise) as server:
        with pytest.raises(UsageError, match=r"price.*openai:gpt.*--price gpt=IN,OUT"):
            build(server.url, settings=BuildSettings(max_cost=1.0))
        assert not server.requests
        assert build(server.url).cost is None


def test_a_server_that_counts_no_tokens_can_keep_no_cap(build: Build) -> None:
    def uncounted(request: Request) -> Response:
        body = json.loads(revise(request).body)
        del body["usage"]
        return as_json(body)

    with serving(uncounted) as server:
        with pytest.raises(RemoteError, match="--max-calls"):
            build(server.url, rows=9, concurrency=4, settings=settings(1.0))
        assert len(server.requests) == 1


@pytest.mark.parametrize("wrong", [{"max_cost": 0.0}, {"max_cost": -1.0}, {"max_calls": 0}])
def test_caps_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        BuildSettings(**wrong)  # type: ignore[arg-type]  # a dict of either


def test_calls_that_failed_before_do_not_say_what_one_costs(tmp_path: Path) -> None:
    settings = BuildSettings(max_cost=1.0, prices=PRICES)
    with closing(Journal(tmp_path / "pairs.jsonl")) as journal:
        lost = [
            JournalEntry(f"{n}", "revise", "openai:gpt", Failure("request_failed"))
            for n in range(9)
        ]
        journal.write(lost)
        assert make_budget(settings, PRICES, journal).must_wait("openai:gpt")
        journal.write([JournalEntry("a", "revise", "openai:gpt", REPLY)])
        budget = make_budget(settings, PRICES, journal)
    assert not budget.must_wait("openai:gpt")
    assert budget.reserve("openai:gpt", 1) == pytest.approx(ONE)
