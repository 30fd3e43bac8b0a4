"""The task: right answers, house rules, the reviser that adds them and nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.quickstart import check, check_arithmetic, check_sum, revise, task
from clairkit.quickstart.task import CLOSING, GOODS, UNIT, Bill, Item

BILL = Bill((Item(2, "pens", 6), Item(3, "mugs", 7)))
RIGHT = "2 pens: 12 EUR\n3 mugs: 21 EUR\nTotal: 12 + 21 = 33 EUR\nThank you for your order."

items = st.builds(Item, st.integers(1, 99), st.sampled_from(GOODS), st.integers(1, 99))
bills = st.builds(Bill, st.lists(items, min_size=1, max_size=4).map(tuple))


@dataclass(frozen=True)
class Asked:
    answer: str
    prompt: tuple[dict[str, Any], ...] = ({"role": "user", "content": BILL.prompt},)
    row: dict[str, Any] = field(default_factory=dict)


def messages(content: str) -> tuple[dict[str, Any], ...]:
    return ({"role": "user", "content": content},)


@st.composite
def answers(draw: st.DrawFn) -> tuple[Bill, str]:
    """A bill's answer that keeps any subset of the house rules, its sums right."""
    bill = draw(bills)
    count = len(bill.items) + 1
    units = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return bill, bill.answer(units, closing=draw(st.booleans()))


def test_the_bill_of_the_documentation() -> None:
    assert BILL.prompt == "Bill: 2 pens at 6, 3 mugs at 7"
    assert BILL.answer() == RIGHT
    assert check(messages(BILL.prompt), RIGHT, {})


@given(bills)
def test_a_prompt_parses_back_to_its_bill(bill: Bill) -> None:
    assert task.parse_bill(bill.prompt) == bill


@given(answers())
def test_the_revision_of_right_sums_is_exactly_right(case: tuple[Bill, str]) -> None:
    bill, answer = case
    revised = revise(Asked(answer, messages(bill.prompt)))
    assert (revised is None) == (answer == bill.answer())
    assert check(messages(bill.prompt), answer if revised is None else revised, {})
    assert check_arithmetic(messages(bill.prompt), answer, {})


@given(st.one_of(st.text(alphabet="pens: 245+=\nEURTotal.Thank", max_size=60), st.text()))
def test_a_revision_only_adds_house_rule_text(answer: str) -> None:
    revised = revise(Asked(answer))
    if revised is None:
        return
    assert revised != answer
    assert not list(task.breaches(revised))
    assert revise(Asked(revised)) is None
    assert _without_rules(revised) == _without_rules(answer)
    assert _is_subsequence(answer, revised)


def test_a_wrong_sum_stays() -> None:
    revised = revise(Asked("2 pens: 99\n3 mugs: 21 EUR\nTotal: 99 + 21 = 7"))
    assert revised == f"2 pens: 99 EUR\n3 mugs: 21 EUR\nTotal: 99 + 21 = 7 EUR\n{CLOSING}"
    assert not check(messages(BILL.prompt), revised, {})
    assert not check_arithmetic(messages(BILL.prompt), revised, {})


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        (BILL.prompt, RIGHT),
        (BILL.prompt, ""),
        (BILL.prompt, "I can't do that."),
        ("What is 17 + 25?", "42"),
        ("Write a poem", "Total: 45"),
    ],
)
def test_nothing_to_correct(prompt: str, answer: str) -> None:
    assert revise(Asked(answer, messages(prompt))) is None


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT.replace(" EUR", "", 1),
        RIGHT.removesuffix(f"\n{CLOSING}"),
        RIGHT.replace("33", "34"),
        RIGHT + "\n",
        RIGHT.replace("pens", "mugs"),
        "",
    ],
)
def test_anything_else_is_not_exactly_right(answer: str) -> None:
    assert not check(messages(BILL.prompt), answer, {})


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (RIGHT, []),
        (RIGHT.replace(" EUR", "", 1), ["unit"]),
        (RIGHT.removesuffix(f"\n{CLOSING}"), ["closing"]),
        ("2 pens: 12\n3 mugs: 21\nTotal: 12 + 21 = 33", ["unit", "closing"]),
    ],
)
def test_breaches_are_named(answer: str, named: list[str]) -> None:
    assert list(task.breaches(answer)) == named


def test_the_guard_wants_the_bare_number() -> None:
    prompt = messages("What is 17 + 25?")
    assert check_sum(prompt, "42", {})
    for wrong in ("42 EUR", "42.", f"42\n{CLOSING}", "43", ""):
        assert not check_sum(prompt, wrong, {})
    assert not check_sum(messages(BILL.prompt), "33", {})


def test_the_two_sides_are_disjoint_and_every_draw_is_reproduced() -> None:
    for draw in (task.bill_prompts, task.sum_prompts):
        train, evaluation = draw(400, 1, evaluation=False), draw(400, 2, evaluation=True)
        assert len({*train, *evaluation}) == 800
        assert train == draw(400, 1, evaluation=False)
        assert train != draw(400, 3, evaluation=False)
        assert not any(map(task.held_out, train))
        assert all(map(task.held_out, evaluation))


def test_one_prompt_in_eight_is_held_out() -> None:
    rng = random.Random(0)
    share = sum(task.held_out(task.draw_bill(rng).prompt) for _ in range(4000)) / 4000
    assert share == pytest.approx(1 / 8, abs=0.02)


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = (
        "import sys, clairkit.quickstart\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'datasets', 'numpy'}\n"
        "print(sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def _without_rules(text: str) -> str:
    return text.replace(UNIT, "").replace(CLOSING, "").rstrip("\n")


def _is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(letter in rest for letter in short)
