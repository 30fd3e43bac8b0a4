"""Draw which items people see, in which order, on which side, and the checks among them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from clairkit.errors import DataError, UsageError
from clairkit.labels.items import QUESTIONS, Item, Question
from clairkit.labels.key import Key, Kind, Shown
from clairkit.labels.named_models import NamedModels
from clairkit.records import digest
from clairkit.texts import texts

Side = Literal["a", "b"]
Screen = tuple[int, Kind, Side]

_SIDES: tuple[Side, Side] = ("a", "b")

METHOD = "simple random sampling without replacement"
"""How items are drawn; what else a key may say allows no blend with a judge."""

_FEWEST = 10
"""With fewer items there are no checks: a repeat would come while the first is remembered."""

_LEFT_OUT = {
    "no_answer": "with an empty answer",
    "same_answers": "with two equal answers",
    "names_a_model": "with an answer that names a model",
}


@dataclass(frozen=True)
class LabelPlan:
    """What is asked of whom.

    Attributes:
        question: "better" or "accept".
        raters: their names, all different.
        n: how many items to draw; None takes all.
        seed: of the draw.
        language: of the page.
        ask: the question in the organiser's own words; empty for the page's.
        repeats: share of items shown again with sides swapped.
        identical: share of screens with the same answer on both sides.

    Raises:
        UsageError: a value is out of its range.
    """

    question: Question = "better"
    raters: tuple[str, ...] = ("rater",)
    n: int | None = None
    seed: int = 0
    language: str = "en"
    ask: str = ""
    repeats: float = 0.05
    identical: float = 0.05

    def __post_init__(self) -> None:
        if self.question not in QUESTIONS:
            raise UsageError(
                "no such question",
                received=self.question,
                remedy=f"use one of {', '.join(QUESTIONS)}",
            )
        texts("labels/texts", self.language)  # refuses a language that there is not
        if not self.raters or len({*self.raters}) < len(self.raters) or not all(self.raters):
            raise UsageError("each rater needs a name of their own", received=",".join(self.raters))
        for name in ("repeats", "identical"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise UsageError(
                    f"the share of {name} must lie in [0, 0.5]", received=getattr(self, name)
                )


def draw(
    items: Iterable[Item],
    plan: LabelPlan,
    gold: Sequence[Item] = (),
    *,
    secret: str,
    models: Iterable[str] = (),
) -> Key:
    """Return the key: items drawn at random, and what each rater is shown of them.

    The same items, in any order, the same plan and the same secret give the same key. The seed
    draws the items; the secret draws order, sides and opaque ids, since who knows a page and
    guesses the seed must not find out which side is which.

    Args:
        items: the source's, each with an id of its own.
        plan: what is asked of whom.
        gold: items with a known right vote, which every rater is shown.
        secret: a random text that stands in the key alone.
        models: specs of the compared models, where the items have other names for them.

    Raises:
        DataError: no item can be shown, or fewer than the plan draws.
    """
    population, left_out = shown_population(items, models)
    if not population:
        counts = [f"{len(ids)} {_LEFT_OUT[reason]}" for reason, ids in left_out.items() if ids]
        raise DataError(
            "no item can be shown to people",
            received="; ".join(counts) or "0 rows",
            remedy="give two different answers that name no model",
        )
    size = len(population) if plan.n is None else plan.n
    if not 0 < size <= len(population):
        raise DataError(
            f"{size} items cannot be drawn of {len(population)}",
            remedy="draw fewer with --n, or leave --n out to take all",
        )
    texts = population_digest(population)
    drawn = Random(f"{plan.seed} {texts}").sample(population, size)
    checks = _identical(population, drawn, plan, Random(f"{secret} identical"))
    shown = (*drawn, *checks, *gold)
    sizes: dict[Kind, int] = {"vote": size, "identical": len(checks), "gold": len(gold)}
    kinds = [kind for kind, count in sizes.items() for _ in range(count)]
    raters = {}
    for rater in plan.raters:
        screens = _screens(kinds, plan, Random(f"{secret} rater {rater}"))
        raters[rater] = tuple(
            Shown(f"q{digest([secret, rater, place])[:12]}", *screen)
            for place, screen in enumerate(screens)
        )
    sample = {
        "method": METHOD,
        "population": len(population),
        "population_sha256": texts,
        "drawn": size,
        "seed": plan.seed,
        "left_out": left_out,
    }
    return Key(plan.question, plan.language, plan.ask, sample, shown, raters, secret)


def population_digest(population: Iterable[Item]) -> str:
    """Return what tells one population from another: ids, prompts and both answers."""
    return digest([[item.id, item.prompt, item.a, item.b] for item in population])


def shown_population(
    items: Iterable[Item], models: Iterable[str] = ()
) -> tuple[list[Item], dict[str, list[str]]]:
    """Return the items that can be shown, by id, and the ids of the others by reason."""
    ordered = sorted(items, key=lambda item: item.id)
    named = NamedModels({*models, *(name for item in ordered for name in item.names)})
    left_out: dict[str, list[str]] = {reason: [] for reason in _LEFT_OUT}
    kept = []
    for item in ordered:
        a, b = item.a.strip(), item.b.strip()
        if not a or not b:
            left_out["no_answer"].append(item.id)
        elif a == b:
            left_out["same_answers"].append(item.id)
        elif named.reveals(item):
            left_out["names_a_model"].append(item.id)
        else:
            kept.append(item)
    return kept, left_out


def _identical(
    population: Sequence[Item], drawn: Sequence[Item], plan: LabelPlan, random: Random
) -> Sequence[Item]:
    """Return items with one answer on both sides, of prompts that were not drawn if there are."""
    if plan.question == "accept" or len(drawn) < _FEWEST:
        return ()
    taken = {item.id for item in drawn}
    others = [item for item in population if item.id not in taken]
    count = math.ceil(plan.identical * len(drawn))
    pool = others if len(others) >= count else population
    chosen = random.sample(pool, count)
    texts = [item.a if number % 2 else item.b for number, item in enumerate(chosen)]
    return tuple(replace(item, a=text, b=text) for item, text in zip(chosen, texts, strict=True))


def _screens(kinds: Sequence[Kind], plan: LabelPlan, random: Random) -> list[Screen]:
    """Return a rater's screens in order: A is as often on the left as on the right, to one."""
    votes = [place for place, kind in enumerate(kinds) if kind == "vote"]
    others = [place for place, kind in enumerate(kinds) if kind != "vote"]
    random.shuffle(votes)
    sides = _balanced(_SIDES[random.randrange(2)])
    order: list[Screen] = [(place, "vote", next(sides)) for place in votes]
    count = math.ceil(plan.repeats * len(order)) if len(order) >= _FEWEST else 0
    # Sides stand in turn: of an odd number of repeats, as of all, the first side has one more.
    again, rest = order[:count], order[count:]
    random.shuffle(rest)
    half = max(len(order) // 2 - count, 0)
    early, late = again + rest[:half], rest[half:]
    random.shuffle(early)
    order = early + late
    repeats: list[Screen] = [(place, "repeat", _other(side)) for place, _, side in again]
    lefts = [side for _, _, side in (*order, *repeats)]
    sides = _balanced("b" if lefts.count("a") > lefts.count("b") else "a")
    for place in others:
        order.insert(random.randint(0, len(order)), (place, kinds[place], next(sides)))
    for screen in repeats:  # in the last third; what they repeat stood in the first half
        order.insert(random.randint(len(order) - len(order) // 3, len(order)), screen)
    if plan.question == "accept":
        return [(place, kind, "b") for place, kind, _ in order]  # the answer, then its revision
    return order


def _balanced(first: Side) -> Iterator[Side]:
    """Yield the sides for ever, in turn; what takes them is in a drawn order."""
    while True:
        yield first
        first = _other(first)


def _other(side: Side) -> Side:
    return "b" if side == "a" else "a"
