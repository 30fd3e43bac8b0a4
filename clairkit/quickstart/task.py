"""Make the quickstart's task: itemised bills under two house rules, and sums as guard skill.

A bill is asked for as `Bill: 2 pens at 6, 3 mugs at 7`; the exactly right answer is

    2 pens: 12 EUR
    3 mugs: 21 EUR
    Total: 12 + 21 = 33 EUR
    Thank you for your order.

House rules: every amount carries its unit, and the closing line stands. A sum is asked for as
`What is 17 + 25?` and answered `42`; no house rule applies to it.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from clairkit.records.json_types import JsonMapping

GOODS = (
    "pens",
    "mugs",
    "books",
    "lamps",
    "chairs",
    "plates",
    "bags",
    "caps",
    "cards",
    "clocks",
    "forks",
    "jars",
    "keys",
    "maps",
    "rugs",
    "vases",
)
QUANTITIES = range(2, 10)
PRICES = range(2, 10)
ADDENDS = range(1, 100)
UNIT = " EUR"
CLOSING = "Thank you for your order."

# One prompt in eight is held out: from the pre-training corpus as from the pairs.
HELD_OUT_SHARE = 8

_ITEM = re.compile(r"([0-9]{1,6}) ([a-z]+) at ([0-9]{1,6})")
_BILL = re.compile(rf"Bill: ({_ITEM.pattern}(?:, {_ITEM.pattern})*)")
_SUM = re.compile(r"What is ([0-9]{1,6}) \+ ([0-9]{1,6})\?")
_BARE = r"[^:\n]+: (?:[0-9]+ \+ )*(?:[0-9]+ = )?[0-9]+"
_BARE_AMOUNT = re.compile(rf"(?m)^({_BARE})$")
_AMOUNT = re.compile(rf"(?m)^{_BARE}(?:{UNIT})?$")


class Request(Protocol):
    """What a `python:` reviser is handed: the prompt's messages, the answer, the row."""

    @property
    def prompt(self) -> Sequence[JsonMapping]: ...

    @property
    def answer(self) -> str: ...


@dataclass(frozen=True)
class Item:
    """One position of a bill: so many of a good at a price each."""

    quantity: int
    good: str
    price: int

    @property
    def amount(self) -> int:
        return self.quantity * self.price


@dataclass(frozen=True)
class Bill:
    """The positions of one bill."""

    items: tuple[Item, ...]

    @property
    def prompt(self) -> str:
        positions = ", ".join(f"{i.quantity} {i.good} at {i.price}" for i in self.items)
        return f"Bill: {positions}"

    def amounts(self) -> list[str]:
        """The lines that carry an amount, without its unit."""
        lines = [f"{item.quantity} {item.good}: {item.amount}" for item in self.items]
        working = " + ".join(str(item.amount) for item in self.items)
        return [*lines, f"Total: {working} = {sum(item.amount for item in self.items)}"]

    def answer(self, units: Sequence[bool] | None = None, *, closing: bool = True) -> str:
        """Return the answer with right sums; `units` and `closing` tell which rules are kept."""
        lines = self.amounts()
        kept = units if units is not None else [True] * len(lines)
        lines = [line + UNIT * keep for line, keep in zip(lines, kept, strict=True)]
        return "\n".join([*lines, CLOSING] if closing else lines)


def parse_bill(prompt: str) -> Bill | None:
    """Return the bill that `prompt` asks for, or None when it asks for something else."""
    if _BILL.fullmatch(prompt) is None:
        return None
    return Bill(tuple(Item(int(n), good, int(p)) for n, good, p in _ITEM.findall(prompt)))


def held_out(prompt: str) -> bool:
    """Whether `prompt` belongs to the evaluation side: a property of the text alone."""
    return hashlib.sha256(prompt.encode()).digest()[0] % HELD_OUT_SHARE == 0


def draw_bill(rng: random.Random) -> Bill:
    """Return a random bill of two different goods."""
    goods = rng.sample(GOODS, 2)
    return Bill(tuple(Item(rng.choice(QUANTITIES), good, rng.choice(PRICES)) for good in goods))


def draw_sum(rng: random.Random) -> tuple[str, str]:
    """Return a random sum: its prompt and its answer."""
    left, right = rng.choice(ADDENDS), rng.choice(ADDENDS)
    return f"What is {left} + {right}?", str(left + right)


def bill_prompts(count: int, seed: int, *, evaluation: bool) -> list[str]:
    """Return `count` different bill prompts of one side of the split."""
    return _distinct(lambda rng: draw_bill(rng).prompt, count, seed, evaluation=evaluation)


def sum_prompts(count: int, seed: int, *, evaluation: bool) -> list[str]:
    """Return `count` different sum prompts of one side of the split."""
    return _distinct(lambda rng: draw_sum(rng)[0], count, seed, evaluation=evaluation)


def _distinct(
    draw: Callable[[random.Random], str], count: int, seed: int, *, evaluation: bool
) -> list[str]:
    rng = random.Random(seed)
    prompts: dict[str, None] = {}
    while len(prompts) < count:
        prompt = draw(rng)
        if held_out(prompt) == evaluation:
            prompts[prompt] = None
    return list(prompts)


def breaches(answer: str) -> Iterator[str]:
    """Name the house rules that a bill's answer breaks: `unit`, `closing`."""
    if _BARE_AMOUNT.search(answer):
        yield "unit"
    if not answer.endswith(f"\n{CLOSING}"):
        yield "closing"


def revise(request: Request) -> str | None:
    """Correct the house rules in a bill's answer and nothing else (a `python:` reviser).

    Missing units and a missing closing line are added; every other byte stays, a wrong sum
    included. Returns None when there is nothing to correct, the prompt asks for no bill, or the
    answer has no line with an amount.
    """
    if parse_bill(_question(request.prompt)) is None or not _AMOUNT.search(request.answer):
        return None
    revised = _BARE_AMOUNT.sub(rf"\1{UNIT}", request.answer)
    if not revised.endswith(f"\n{CLOSING}"):
        revised += ("" if revised.endswith("\n") else "\n") + CLOSING
    return revised if revised != request.answer else None


def check(prompt: Sequence[JsonMapping], answer: str, row: JsonMapping) -> bool:
    """Whether a bill's answer is exactly right: its sums and all house rules."""
    del row
    bill = parse_bill(_question(prompt))
    return bill is not None and answer == bill.answer()


def check_arithmetic(prompt: Sequence[JsonMapping], answer: str, row: JsonMapping) -> bool:
    """Whether a bill's amounts are right, with or without the house rules."""
    del row
    bill = parse_bill(_question(prompt))
    bare = answer.removesuffix(f"\n{CLOSING}").replace(f"{UNIT}\n", "\n").removesuffix(UNIT)
    return bill is not None and bare == "\n".join(bill.amounts())


def check_sum(prompt: Sequence[JsonMapping], answer: str, row: JsonMapping) -> bool:
    """Whether a sum's answer is exactly the number (the guard skill)."""
    del row
    match = _SUM.fullmatch(_question(prompt))
    return match is not None and answer == str(int(match[1]) + int(match[2]))


def _question(prompt: Sequence[JsonMapping]) -> str:
    """The last message's text."""
    return str(prompt[-1]["content"]) if prompt else ""
