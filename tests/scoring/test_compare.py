"""Sets of pairs side by side: means, and intervals that are drawn by prompt."""

from __future__ import annotations

import random

import pytest

from clairkit.errors import DataError
from clairkit.records import Message, Pair
from clairkit.scoring import METRICS, compare_sets, score_pairs, summarise


def make(number: int, chosen: str, rejected: str) -> Pair:
    """A pair of prompt `number`."""
    return Pair(
        prompt=(Message(role="user", content=f"question {number}"),),
        chosen=(Message(role="assistant", content=chosen),),
        rejected=(Message(role="assistant", content=rejected),),
        source="clair" if number % 2 else "imported",
    )


def some(count: int, seed: int = 0) -> list[Pair]:
    """Pairs whose sides share from none to all of ten characters."""
    drawn = random.Random(seed)
    pairs = []
    for number in range(count):
        kept = drawn.randint(0, 10)
        pairs.append(make(number, "abcdefghij"[:kept] + "z" * (10 - kept), "abcdefghij"))
    return pairs


def test_means_are_those_of_score() -> None:
    pairs = some(30)
    (found,) = compare_sets({"one": pairs}).sets.values()
    expected = {row.metric: row for row in summarise(score_pairs(pairs).scores)}
    assert [row.metric for row in found.means] == list(METRICS)
    for row in found.means:
        assert row.n == expected[row.metric].n == 30
        assert row.mean == pytest.approx(expected[row.metric].mean, abs=1e-12)
        assert row.low <= row.mean <= row.high
    assert found.sources == {"clair": 15, "imported": 15}


def test_an_interval_is_that_of_a_mean() -> None:
    """Against mean ± 1.96 standard errors, which 400 values of a bounded metric come close to."""
    pairs = some(400)
    found = compare_sets({"one": pairs}).sets["one"]
    row = next(row for row in found.means if row.metric == "edit_share_rejected")
    values = [scores.edit_share_rejected for scores in score_pairs(pairs).scores]
    mean = sum(values) / 400
    error = (sum((value - mean) ** 2 for value in values) / 400 / 400) ** 0.5
    assert row.low == pytest.approx(mean - 1.96 * error, abs=0.15 * error)
    assert row.high == pytest.approx(mean + 1.96 * error, abs=0.15 * error)


def test_pairs_of_one_prompt_are_drawn_together() -> None:
    """A hundred copies of each pair hold no more evidence than one."""
    pairs = some(20)
    copied = [pair for pair in pairs for _ in range(100)]
    once, often = (compare_sets({"": each}).sets[""].means for each in (pairs, copied))
    for one, other in zip(once, often, strict=True):
        assert other.n == 100 * one.n
        assert (other.low, other.high) == pytest.approx((one.low, one.high))


def test_the_order_of_pairs_makes_no_difference() -> None:
    pairs = [*some(20, seed=1), *some(20, seed=2)]  # two pairs a prompt
    first = compare_sets({"one": pairs})
    random.Random(3).shuffle(pairs)
    assert compare_sets({"one": pairs}) == first


def test_a_metric_without_value_in_some_pairs_counts_the_others() -> None:
    pairs = [make(0, "abc", ""), make(1, "abcd", "ab"), make(2, "abcd", "ab")]
    means = {row.metric: row for row in compare_sets({"one": pairs}).sets["one"].means}
    ratio = means["length_ratio"]
    assert (ratio.n, ratio.mean, ratio.low, ratio.high) == (2, 2, 2, 2)
    assert means["chosen_length"].n == 3
    only = compare_sets({"one": [make(0, "abc", "")]}).sets["one"]
    assert "length_ratio" not in {row.metric for row in only.means}


def test_prompts_that_all_sets_share() -> None:
    pairs = some(10)
    found = compare_sets({"a": pairs, "b": pairs[4:], "c": pairs[:6]})
    assert (found.shared_prompts, found.all_prompts) == (2, 10)
    assert (found.unit, found.tokenizer) == ("grapheme", None)


def test_dropped_pairs_are_counted() -> None:
    pairs = [make(0, "same", "same"), make(1, "one", "other")]
    found = compare_sets({"a": pairs}, drop=["identical"]).sets["a"]
    assert (found.pairs, found.dropped, found.flags) == (1, {"identical": 1}, {})
    with pytest.raises(DataError, match="a: 0 pairs are left: received '1 identical'"):
        compare_sets({"a": pairs[:1]}, drop=["identical"])
