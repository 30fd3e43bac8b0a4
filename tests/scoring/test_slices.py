"""Means by a column: labels out of every part of a pair, largest slice first."""

from __future__ import annotations

import re

import pytest

from clairkit.errors import UsageError
from clairkit.records import Pair
from clairkit.scoring import (
    SLICE_METRICS,
    check_column,
    label_of,
    score_pair,
    score_pairs,
    slice_means,
)

PAIR = Pair(
    prompt=({"role": "user", "content": "Why?"},),
    chosen=({"role": "assistant", "content": "ab"},),
    rejected=({"role": "assistant", "content": "ac"},),
    source="clair",
    provenance={"reviser": {"model": "big"}, "attempts": 2},
    scores={"helpful": 3.5},
    extra={"lang": "ja", "tags": ["a", "b"], "a.b": "dotted", "gone": None},
)


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("source", "clair"),
        ("lang", "ja"),
        ("tags", '["a","b"]'),
        ("a.b", "dotted"),
        ("provenance.reviser.model", "big"),
        ("provenance.attempts", "2"),
        ("scores.helpful", "3.5"),
        ("provenance.reviser.none", "(none)"),
        ("lang.deeper", "(none)"),
        ("nowhere", "(none)"),
        ("gone", "(none)"),
    ],
)
def test_labels(column: str, label: str) -> None:
    assert label_of(PAIR, column) == label


def test_means_of_each_slice() -> None:
    scores = [score_pair("p", chosen, "abcd") for chosen in ("abcX", "abXX", "aXXX")]
    scores.append(score_pair("p", "a", ""))
    found = slice_means(scores, ["b", "a", "b", "c"])
    assert [(each.label, each.n) for each in found] == [("b", 2), ("a", 1), ("c", 1)]
    assert found[0].means["contrastiveness"] == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert found[1].means["edit_share_chosen"] == pytest.approx(1 / 2)
    assert found[2].means["length_ratio"] is None  # nothing to divide by
    assert tuple(found[0].means) == SLICE_METRICS


def test_labels_follow_the_pairs_that_are_kept() -> None:
    rows = [
        Pair(PAIR.prompt, PAIR.chosen, side, id=name, extra={"lang": lang})
        for name, lang, side in (
            ("c", "en", PAIR.rejected),
            ("a", "ja", PAIR.rejected),
            ("b", "de", PAIR.chosen),
        )
    ]
    assert score_pairs(rows, by="lang", drop=("dead",)).labels == ["ja", "en"]
    assert score_pairs(rows).labels == []


@pytest.mark.parametrize("column", ["source", "lang", "gone", "a.b", "provenance.attempts"])
def test_a_column_that_some_pair_has(column: str) -> None:
    bare = Pair(PAIR.prompt, PAIR.chosen, PAIR.rejected, id="bare")
    check_column([bare, PAIR], column)


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("langs", "Did you mean lang?"),
        ("provenance.reviser.modle", "Did you mean provenance.reviser.model?"),
        ("zz", "The columns are lang, tags, a.b, gone, source, provenance.reviser.model"),
    ],
)
def test_a_column_that_no_pair_has(column: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(hint)):
        check_column([PAIR], column)
