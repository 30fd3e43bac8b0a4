"""Tables over many pairs: statistics by hand, order, units kept apart, filters."""

from __future__ import annotations

import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError, UsageError
from clairkit.records import Pair
from clairkit.scoring import (
    FLAGS,
    METRICS,
    REASONS,
    PairScores,
    count_flags,
    drop_reason,
    parse_reasons,
    score_pair,
    score_pairs,
    summarise,
)
from clairkit.scoring.summary import percentile

BASE = score_pair("Why?", "abXd", "abcd", None)


def pair(chosen: str, rejected: str, name: str = "") -> Pair:
    return Pair(
        prompt=({"role": "user", "content": "Why?"},),
        chosen=({"role": "assistant", "content": chosen},),
        rejected=({"role": "assistant", "content": rejected},),
        id=name,
    )


def test_statistics_by_hand() -> None:
    scores = [replace(BASE, edit_spans=value) for value in (5, 1, 3, 2, 4)]
    row = next(row for row in summarise(scores) if row.metric == "edit_spans")
    assert (row.unit, row.tokenizer, row.n) == ("grapheme", None, 5)
    assert (row.mean, row.median, row.min, row.max) == (3, 3, 1, 5)
    assert (row.p10, row.p90) == (pytest.approx(1.4), pytest.approx(4.6))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_percentiles_are_the_standard_librarys(values: list[float]) -> None:
    deciles = statistics.quantiles(values, n=10, method="inclusive")
    ordered = sorted(values)
    assert percentile(ordered, 10) == pytest.approx(deciles[0])
    assert percentile(ordered, 90) == pytest.approx(deciles[8])


def test_one_pair_is_its_own_percentile() -> None:
    for row in summarise([BASE]):
        assert row.mean == row.median == row.p10 == row.p90 == row.min == row.max
    assert [row.metric for row in summarise([BASE])] == list(METRICS)


@given(st.permutations(range(8)))
def test_order_makes_no_difference(order: list[int]) -> None:
    scores = [score_pair("p", "a" * at + "x" * (7 - at), "aaxaa", None) for at in range(8)]
    assert summarise(scores[at] for at in order) == summarise(scores)


def test_units_are_never_mixed() -> None:
    tokens = replace(BASE, unit="token", tokenizer="t", edit_spans=9)
    rows = [row for row in summarise([BASE, tokens, BASE]) if row.metric == "edit_spans"]
    assert [(row.unit, row.tokenizer, row.n, row.mean) for row in rows] == [
        ("grapheme", None, 2, 1),
        ("token", "t", 1, 9),
    ]


def test_values_that_are_not_there_are_not_counted() -> None:
    none = score_pair("p", "ab", "", None)
    ratios = [row for row in summarise([BASE, none]) if row.metric == "length_ratio"]
    assert [row.n for row in ratios] == [1]
    assert "length_ratio" not in [row.metric for row in summarise([none])]


def test_flags_are_counted_in_their_order() -> None:
    scores = [score_pair("p", "", "a", None), score_pair("p", "a", "a", None)]
    assert count_flags(scores) == {"identical": 1, "empty_chosen": 1, "one_unit": 2}
    assert list(count_flags(scores)) == [flag for flag in FLAGS if flag in count_flags(scores)]


def test_reasons_are_parsed_and_suggested() -> None:
    assert parse_reasons(" empty,identical,one-unit ") == ("identical", "one_unit", "empty")
    with pytest.raises(UsageError, match="Did you mean identical"):
        parse_reasons("identicle")
    with pytest.raises(UsageError, match="no reason"):
        parse_reasons(" , ")
    assert set(FLAGS) < set(REASONS)


def test_a_pair_is_dropped_under_the_first_reason_that_holds() -> None:
    empty = score_pair("p", "", "", None)
    assert drop_reason(empty, ("identical", "empty")) == "identical"
    assert drop_reason(empty, ("empty",)) == "empty"
    assert drop_reason(empty, ("one_unit",)) is None


def test_many_pairs_are_filtered_sorted_and_filled() -> None:
    pairs = [pair("ab", "ac", "2"), pair("a", "a", "3"), pair("xb", "ac", "1"), pair("", "a", "4")]
    pairs[0] = replace(pairs[0], scores={"judge": 7, "unit": "old"})
    expected = score_pairs(pairs, drop=("identical", "empty"))
    assert [kept.id for kept in expected.pairs] == ["1", "2"]
    assert expected.dropped == {"identical": 1, "empty": 1}
    assert expected.read == 4
    assert expected.pairs[1].scores == {"judge": 7, **expected.scores[1].to_json()}
    random.Random(0).shuffle(pairs)
    assert score_pairs(pairs, drop=("identical", "empty")) == expected
    assert score_pairs(pairs, keep_pairs=False).pairs == []


def test_a_pair_that_cannot_be_scored_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> PairScores:
        raise DataError("too many different units")

    monkeypatch.setattr("clairkit.scoring.many.score_units", refuse)
    with pytest.raises(DataError, match="pair abc: too many"):
        score_pairs([pair("a", "b", "abc")])
