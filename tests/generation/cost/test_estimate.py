"""The dry run: what is foreseen, what measured rows teach, and that nothing is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from driving import Named

from clairkit.engine.program import Call, Method, Program
from clairkit.engine.replay import known, rounds
from clairkit.generation.cost.estimate import CostRange, choose_probes, estimate
from clairkit.generation.cost.expected_calls import BYTES_PER_TOKEN
from clairkit.generation.methods import make_method
from clairkit.generation.methods.parts import answer_call, make_pair
from clairkit.generation.settings import BuildSettings
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal, JournalEntry, Recorded
from clairkit.models.requests import ReviseRequest, Task
from clairkit.models.sampling import Failure, Outcome, Reply, Sampling
from clairkit.records import Message, PromptRow

MakeRows = Callable[..., list[PromptRow]]
PRICES = Prices.load(None, ["reviser=2,10", "target=1,4", "judge=1,1"])


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "pairs.jsonl")
    yield made
    made.close()


def clair(**options: Any) -> Method:
    models = {"target": Named("openai:target"), "reviser": Named("openai:reviser")}
    return make_method("clair", BuildSettings(**options), models)


def play(
    method: Method, rows: Sequence[PromptRow], journal: Journal, reply: Callable[[Call], Outcome]
) -> None:
    """Bring the rows to their end, by `reply` and without an engine."""
    for row in rows:
        while True:
            *_, last = rounds(partial(method.program, row), partial(known, journal, ask_again=True))
            asked = [call for call, found in last if found is None]
            if not asked:
                break
            journal.write([JournalEntry(c.task.key, c.step, c.model.name, reply(c)) for c in asked])


def spend(prompt: int, completion: int) -> Callable[[Call], Outcome]:
    """Results that take so many tokens and end their row at once."""
    return lambda call: Failure(
        "content_filter", prompt_tokens=prompt, completion_tokens=completion
    )


def test_requests_are_foreseen_from_their_texts(make_rows: MakeRows) -> None:
    rows = make_rows(3)
    method = clair()
    made = estimate(rows, method, PRICES)
    (reviser,) = made.roles
    calls = [next(iter(method.program(row)))[0] for row in rows]
    texts = [turn["content"] for call in calls for turn in call.task.messages]
    asked = sum(len(text.encode()) / BYTES_PER_TOKEN + 4 for text in texts)
    said = sum(len("answer 0.") / BYTES_PER_TOKEN + 250 for _ in rows)
    assert (made.rows, made.done, made.measured, reviser.is_measured) == (3, 0, 0, False)
    assert (reviser.role, reviser.model) == ("reviser", "openai:reviser")
    assert reviser.calls == CostRange(3, 3, 3)
    assert reviser.prompt_tokens.estimate == pytest.approx(asked)
    assert reviser.completion_tokens.estimate == pytest.approx(said)
    assert made.cost is not None
    assert made.cost.estimate == pytest.approx((2 * asked + 10 * said) / 1e6)
    assert made.cost.low == pytest.approx(made.cost.estimate / 2)
    assert made.cost.high == pytest.approx(made.cost.estimate * 2)


def test_what_is_asked_about_an_answer_is_foreseen_before_there_is_one(
    make_rows: MakeRows,
) -> None:
    made = estimate(make_rows(2, answers=False), clair(), PRICES)
    target, reviser = made.roles
    assert (target.role, target.calls.estimate, reviser.calls.estimate) == ("target", 2, 2)
    assert target.completion_tokens.estimate == 2 * 480
    # The reviser reads the answer and says it again.
    assert reviser.prompt_tokens.estimate > 2 * 480
    assert reviser.completion_tokens.estimate == pytest.approx(2 * (480 + 250), rel=0.01)


def test_no_reply_is_longer_than_its_limit(make_rows: MakeRows) -> None:
    sampling = Sampling(max_new_tokens=300)
    made = estimate(make_rows(2), clair(revise_sampling=sampling), PRICES)
    assert made.roles[0].completion_tokens.high == 600


def test_rows_that_share_a_request_pay_for_it_once(make_rows: MakeRows) -> None:
    made = estimate(make_rows(1) * 5, clair(), PRICES)
    assert (made.rows, made.roles[0].calls.estimate) == (5, 1)


def test_functions_cost_calls_and_nothing_else(make_rows: MakeRows) -> None:
    models = {"reviser": Named("python:a:b", is_function=True)}
    made = estimate(make_rows(4), make_method("clair", BuildSettings(), models), PRICES)
    assert made.roles[0].calls.estimate == 4
    assert made.roles[0].prompt_tokens == made.roles[0].completion_tokens == CostRange(0, 0, 0)
    assert made.cost == CostRange(0, 0, 0)


@pytest.mark.parametrize("is_function", [False, True])
def test_the_rounds_of_a_judge_are_foreseen_to_the_last(
    make_rows: MakeRows, is_function: bool
) -> None:
    """Four answers: two comparisons, two more, the final; each in both orders."""
    judge = Named("python:a:b" if is_function else "openai:judge", is_function=is_function)
    models = {"target": Named("openai:target"), "judge": judge}
    method = make_method("judge-on-policy", BuildSettings(samples=4), models)
    made = estimate(make_rows(3, answers=False), method, PRICES)
    assert {role.role: role.calls.estimate for role in made.roles} == {"target": 12, "judge": 30}


def test_a_model_without_price_leaves_the_cost_open(make_rows: MakeRows) -> None:
    made = estimate(make_rows(2, answers=False), clair(), Prices.load(None, ["target=1,1"]))
    assert made.cost is None
    assert made.unpriced == ("openai:reviser",)
    assert made.roles[0].cost is not None
    assert made.roles[1].cost is None


def test_done_rows_correct_the_forecast(make_rows: MakeRows, journal: Journal) -> None:
    """Each row takes the same, so that the rest is known without doubt."""
    rows, method = make_rows(10), clair()
    play(method, rows[:4], journal, spend(1000, 500))
    made = estimate(rows, method, PRICES, journal)
    assert (made.rows, made.done, made.measured) == (10, 4, 4)
    assert made.roles[0].is_measured
    assert made.roles[0].calls == CostRange(6, 6, 6)
    assert made.roles[0].completion_tokens == CostRange(3000, 3000, 3000)
    assert made.roles[0].prompt_tokens.estimate == pytest.approx(6000)
    assert made.cost is not None
    assert made.cost.estimate == pytest.approx(6 * (0.002 + 0.005))
    assert made.cost.high == pytest.approx(made.cost.low)


def test_being_asked_once_more_is_learnt_from_done_rows(
    make_rows: MakeRows, journal: Journal
) -> None:
    """A reply without marks is no revision, and its row is asked again."""
    rows, method = make_rows(10), clair()
    reply = Reply("no marks", prompt_tokens=100, completion_tokens=50)
    play(method, rows[:4], journal, lambda call: reply)
    assert estimate(rows, method, PRICES).roles[0].calls.estimate == 10
    made = estimate(rows, method, PRICES, journal).roles[0]
    assert made.calls == CostRange(12, 12, 12)
    assert made.completion_tokens.estimate == pytest.approx(600)


def test_a_role_that_no_done_row_took_is_not_measured(
    make_rows: MakeRows, journal: Journal
) -> None:
    rows = [*make_rows(4), *make_rows(9, answers=False)[4:]]
    method = clair()
    play(method, rows[:4], journal, spend(1000, 500))
    made = estimate(rows, method, PRICES, journal)
    target, reviser = made.roles
    assert (target.is_measured, reviser.is_measured) == (False, True)
    assert target.completion_tokens == CostRange(5 * 480, 5 * 240, 5 * 512)
    assert target.cost is not None
    assert reviser.cost is not None
    assert made.cost == target.cost + reviser.cost


def test_one_model_in_two_roles_is_counted_once(make_rows: MakeRows) -> None:
    model = Named("openai:target")
    models = {"target": model, "judge": model}
    method = make_method("judge-on-policy", BuildSettings(samples=2), models)
    (both,) = estimate(make_rows(1, answers=False), method, PRICES).roles
    assert (both.role, both.calls.estimate) == ("target, judge", 4)


def test_the_range_widens_with_the_spread_of_measured_rows(
    make_rows: MakeRows, journal: Journal
) -> None:
    rows, method = make_rows(10), clair()
    sizes = iter([100, 900, 300, 700])
    play(method, rows[:4], journal, lambda call: spend(10, next(sizes))(call))
    made = estimate(rows, method, PRICES, journal).roles[0].completion_tokens
    assert made.low < 0.8 * made.estimate
    assert made.high > 1.2 * made.estimate


def test_nothing_is_left_of_a_run_that_is_done(make_rows: MakeRows, journal: Journal) -> None:
    rows, method = make_rows(3), clair()
    play(method, rows, journal, spend(10, 10))
    made = estimate(rows, method, PRICES, journal)
    assert (made.rows, made.done) == (3, 3)
    assert made.cost == CostRange(0, 0, 0)
    assert made.roles[0].calls == CostRange(0, 0, 0)


def test_of_a_row_that_is_half_done_only_the_rest_counts(
    make_rows: MakeRows, journal: Journal
) -> None:
    (row,) = make_rows(1, answers=False)
    method = clair()
    (call,) = next(iter(method.program(row)))
    long = Reply("x" * 45_000, prompt_tokens=1, completion_tokens=1)
    journal.write([JournalEntry(call.task.key, call.step, call.model.name, long)])
    made = estimate([row], method, PRICES, journal)
    assert [role.role for role in made.roles] == ["reviser"]
    assert made.roles[0].prompt_tokens.estimate > 45_000 / BYTES_PER_TOKEN


class AskedLater:
    """A method whose judge is asked after the revision, where nothing can be foreseen."""

    name = "asked-later"

    def __init__(self) -> None:
        names = ("reviser", "judge")
        self.models: Mapping[str, Named] = {n: Named(f"openai:{n}") for n in names}

    def settings(self) -> Mapping[str, Any]:
        return {}

    def program(self, row: PromptRow) -> Program:
        turns = (Message(role="user", content="revise"),)
        request = ReviseRequest(row.prompt, "an answer")
        task = Task(f"revise {row.id}", turns, request, Sampling())
        yield [Call("revise", 0, self.models["reviser"], task)]
        results: Sequence[Recorded] = yield [
            answer_call(row, self.models["judge"], Sampling(), stage=1)
        ]
        text = results[0].outcome.text
        return make_pair(row, chosen=text, rejected="-", source="clair", provenance={})


def test_calls_that_cannot_be_foreseen_are_counted_by_the_row(
    make_rows: MakeRows, journal: Journal
) -> None:
    rows, method = make_rows(10), AskedLater()
    assert [role.role for role in estimate(rows, method, PRICES).roles] == ["reviser"]
    play(method, rows[:1], journal, spend(100, 40))
    made = {role.role: role for role in estimate(rows, method, PRICES, journal).roles}
    assert made["judge"].completion_tokens == CostRange(0, 0, 0)  # one row shows no spread
    play(method, rows[:5], journal, spend(100, 40))
    made = {role.role: role for role in estimate(rows, method, PRICES, journal).roles}
    assert made["judge"].calls == CostRange(5, 5, 5)
    assert made["judge"].completion_tokens.estimate == 200


def test_probes_are_the_same_each_time_and_more_of_them_include_fewer(
    make_rows: MakeRows,
) -> None:
    rows = make_rows(100)
    five, twenty = choose_probes(rows, 5), choose_probes(reversed(rows), 20)
    assert [row.id for row in five] == [row.id for row in twenty[:5]]
    assert [row.id for row in five] != [row.id for row in rows[:5]]
    assert choose_probes(rows, 5, seed=1) != five
    assert len(choose_probes(rows, 200)) == 100
