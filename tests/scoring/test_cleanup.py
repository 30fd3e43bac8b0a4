"""The clean-up of edit spans: its rule by hand, and that no order or direction matters."""

from __future__ import annotations

import random
from itertools import combinations, pairwise
from typing import Any

import pytest
from counted_work import counted_calls
from hypothesis import given
from hypothesis import strategies as st

from clairkit.scoring import EditSpan, align, clean_up


def replaced(*stretches: tuple[int, int]) -> list[EditSpan]:
    """Spans that replace units by as many others: where each begins and ends on both sides."""
    return [EditSpan(start, end, start, end) for start, end in stretches]


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(0, 1), (2, 3)], [(0, 3)]),  # one equal unit between two edits of one
        ([(0, 1), (3, 4)], [(0, 1), (3, 4)]),  # two are more than either
        ([(0, 5), (7, 8)], [(0, 5), (7, 8)]),  # more than the smaller one
        ([(0, 2), (4, 5), (6, 7)], [(0, 7)]),  # the right two join, and then the left one
        ([(0, 1), (2, 3), (6, 9)], [(0, 9)]),  # likewise from the left
        ([(0, 9), (11, 12), (14, 20)], [(0, 20)]),  # 4 equal units between the outer two
        ([(0, 9), (11, 12), (14, 17)], [(0, 9), (11, 12), (14, 17)]),  # more than the last has
        ([(0, 30), (38, 68)], [(0, 68)]),
        ([(0, 30), (39, 69)], [(0, 30), (39, 69)]),  # nine in a row are no accident
        ([(5, 6)], [(5, 6)]),  # what stands before and after is never an edit
        ([], []),
    ],
)
def test_the_rule_by_hand(
    stretches: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert list(clean_up(replaced(*stretches))) == replaced(*expected)


def test_a_span_counts_its_longer_side() -> None:
    insertion = EditSpan(0, 0, 0, 3)
    deletion = EditSpan(3, 6, 6, 6)
    assert clean_up([insertion, deletion]) == (EditSpan(0, 6, 0, 6),)


def test_capitals_of_japan() -> None:
    # Tokyo and Kyoto share a character in other places: one edit to a reader, two to Indel.
    raw = align(list("京都は首都です"), list("東京は首都です"))
    assert len(raw.spans) == 2
    assert clean_up(raw.spans) == (EditSpan(0, 2, 0, 2),)


@given(st.text("abc", max_size=30), st.text("abc", max_size=30))
def test_what_stays_apart_is_equal_and_longer(before: str, after: str) -> None:
    raw = align(list(before), list(after))
    cleaned = clean_up(raw.spans)
    assert clean_up(cleaned) == cleaned
    for first, second in pairwise(cleaned):
        kept = before[first.rejected_end : second.rejected_start]
        assert kept == after[first.chosen_end : second.chosen_start]
        sizes = [
            max(each.rejected_end - each.rejected_start, each.chosen_end - each.chosen_start)
            for each in (first, second)
        ]
        assert len(kept) > min(8, *sizes)
    inside = {at for span in cleaned for at in range(span.rejected_start, span.rejected_end)}
    assert all(
        at in inside for span in raw.spans for at in range(span.rejected_start, span.rejected_end)
    )


STEPS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), max_size=14)


def laid_out(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where stretches begin and end that have so many equal units before them, and so many."""
    at, stretches = 0, []
    for equal, size in steps:
        stretches.append((at + equal, at + equal + size))
        at += equal + size
    return stretches


def joined_one_by_one(stretches: list[tuple[int, int]], draw: random.Random) -> list[Any]:
    """The rule as it reads: any two that may be joined are, until none are left."""
    while True:
        candidates = []
        for first, second in combinations(range(len(stretches)), 2):
            inner = zip(stretches[first:second], stretches[first + 1 : second + 1], strict=True)
            equal = [after[0] - before[1] for before, after in inner]
            sizes = [end - start for start, end in (stretches[first], stretches[second])]
            if max(equal) <= 8 and sum(equal) <= min(sizes):
                candidates.append((first, second))
        if not candidates:
            return stretches
        first, second = draw.choice(candidates)
        whole = (stretches[first][0], stretches[second][1])
        stretches = [*stretches[:first], whole, *stretches[second + 1 :]]


@given(STEPS, st.integers(0, 9))
def test_the_order_of_joining_makes_no_difference(steps: list[tuple[int, int]], seed: int) -> None:
    stretches = laid_out(steps)
    found = [(span.chosen_start, span.chosen_end) for span in clean_up(replaced(*stretches))]
    assert found == joined_one_by_one(stretches, random.Random(seed))


def test_thousands_of_spans_are_looked_at_a_few_times_each() -> None:
    # A large span that grows at each step, with many before it that it might become one with.
    apart = [(2, 1)] * 2_500 + [(3, 9_000)] + [(1, 1)] * 2_500
    spans = replaced(*laid_out(apart))
    found, calls = counted_calls(lambda: clean_up(spans))
    assert len(found) == 2_501
    assert calls < 40 * len(apart)


@given(STEPS)
def test_reading_backwards_gives_the_same(steps: list[tuple[int, int]]) -> None:
    stretches = laid_out(steps)
    at = max((end for _, end in stretches), default=0)
    mirrored = [(at - end, at - start) for start, end in reversed(stretches)]
    cleaned = [(span.chosen_start, span.chosen_end) for span in clean_up(replaced(*stretches))]
    backwards = [(span.chosen_start, span.chosen_end) for span in clean_up(replaced(*mirrored))]
    assert backwards == [(at - end, at - start) for start, end in reversed(cleaned)]


@pytest.mark.parametrize("alphabet", ["etaoin shrdlucmf", "日本語の文章を書くための仮名と漢字"])
def test_texts_that_have_nothing_in_common_keep_nothing(alphabet: str) -> None:
    draw = random.Random(7)
    before, after = ([draw.choice(alphabet) for _ in range(600)] for _ in range(2))
    raw = align(before, after)
    assert raw.inserted < 0.7 * len(after)  # chance alone shares the rest
    cleaned = sum(span.chosen_end - span.chosen_start for span in clean_up(raw.spans))
    assert cleaned > 0.9 * len(after)
