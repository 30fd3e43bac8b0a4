"""Scores against closed forms, as properties, and on the writing systems that break word counts."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from counted_work import count_cells, counted_calls
from hypothesis import given
from hypothesis import strategies as st

from clairkit.scoring import FLAGS, PairScores, score_pair
from clairkit.scoring.blocks import EXACT_CELLS

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
TEXT = st.text(max_size=40) | st.text(alphabet="ab \n", max_size=20)


def scores(rejected: str, chosen: str) -> PairScores:
    return score_pair("Why?", chosen, rejected, None)


def test_closed_forms_of_one_replaced_unit() -> None:
    # L = a b c d, W = a b X d: m = 3, one span of one deleted and one inserted unit.
    found = scores("abcd", "abXd")
    assert found.to_json() == {
        "unit": "grapheme",
        "tokenizer": None,
        "prompt_length": 4,
        "chosen_length": 4,
        "rejected_length": 4,
        "jaccard_set": pytest.approx(3 / 5),
        "jaccard_multiset": pytest.approx(3 / 5),
        "indel_similarity": pytest.approx(6 / 8),
        "edit_share_chosen": pytest.approx(1 / 4),
        "edit_share_rejected": pytest.approx(1 / 4),
        "edit_spans": 1,
        "span_length_mean": 2.0,
        "span_length_max": 2,
        "common_prefix_share": pytest.approx(2 / 4),
        "length_ratio": 1.0,
        "clean_edit_spans": 1,
        "clean_span_length_mean": 2.0,
        "clean_edit_share_chosen": pytest.approx(1 / 4),
        "clean_edit_share_rejected": pytest.approx(1 / 4),
        "length_balance": 1.0,
        "overlap": pytest.approx(3 / 4),
        "contrastiveness": pytest.approx(3 / 4),
        "flags": [],
    }


def test_closed_forms_of_repetition_and_two_spans() -> None:
    # L = a a b c (m = 3: a b c), W = a b Y Y c: spans {-a} or a shift of it, and {+Y Y}.
    found = scores("aabc", "abYYc")
    assert found.jaccard_set == pytest.approx(3 / 4)
    assert found.jaccard_multiset == pytest.approx(3 / 6)  # min: a1 b1 c1; max: a2 b1 c1 Y2
    assert found.indel_similarity == pytest.approx(6 / 9)
    assert (found.edit_share_chosen, found.edit_share_rejected) == (2 / 5, 1 / 4)
    assert (found.edit_spans, found.span_length_mean, found.span_length_max) == (2, 1.5, 2)
    assert found.common_prefix_share == pytest.approx(1 / 5)  # relative to the longer side
    assert found.length_ratio == pytest.approx(5 / 4)


@pytest.mark.parametrize(
    ("rejected", "chosen", "flags"),
    [
        ("ab", "ab", {"identical"}),
        ("ab", "a b", {"whitespace_only"}),
        ("cafe\u0301", "caf\u00e9", {"whitespace_only"}),
        ("ab", "", {"empty_chosen"}),
        (" \n", "ab", {"empty_rejected", "disjoint"}),
        ("", "", {"identical", "empty_chosen", "empty_rejected"}),
        ("a", "abc", {"one_unit"}),
        (FAMILY, FAMILY, {"identical", "one_unit"}),
        ("ab", "xyz", {"disjoint"}),
        ("ab", "ba", set()),
    ],
)
def test_flags(rejected: str, chosen: str, flags: set[str]) -> None:
    assert set(scores(rejected, chosen).flags) == flags


def test_empty_sides_have_defined_values() -> None:
    both = scores("", "")
    assert (both.indel_similarity, both.jaccard_set, both.jaccard_multiset) == (1, 1, 1)
    assert (both.common_prefix_share, both.length_ratio) == (1, 1)
    assert (both.edit_share_chosen, both.edit_share_rejected, both.edit_spans) == (0, 0, 0)
    lost = scores("ab", "")
    assert (lost.indel_similarity, lost.jaccard_set, lost.jaccard_multiset) == (0, 0, 0)
    assert (lost.edit_share_chosen, lost.edit_share_rejected, lost.length_ratio) == (0, 1, 0)
    assert (lost.edit_spans, lost.span_length_mean) == (1, 2)
    assert scores("", "ab").length_ratio is None


@pytest.mark.parametrize(
    ("rejected", "chosen", "length", "changed"),
    [
        ("東京は首都です。", "京都は首都です。", 8, 2),  # no space to split at
        ("สวัสดี", "สวัสดี", 4, 0),  # marks belong to their consonant: four clusters of six
        ("مَرْحَبًا", "مرحبا", 5, 8),  # vowel signs: three clusters of five differ, one is as it was
        (f"ok {FAMILY}", "ok 👨\u200d👩\u200d👧", 4, 2),  # seven code points, one unit
        ("x = 1;\r\ny", "x = 2;\r\ny", 8, 2),  # CR LF is one cluster
    ],
)
def test_writing_systems(rejected: str, chosen: str, length: int, changed: int) -> None:
    found = scores(rejected, chosen)
    assert found.rejected_length == length
    total = found.chosen_length + found.rejected_length
    assert round((1 - found.indel_similarity) * total) == changed


@given(TEXT)
def test_identical_sides(text: str) -> None:
    found = scores(text, text)
    assert (found.indel_similarity, found.jaccard_set, found.jaccard_multiset) == (1, 1, 1)
    assert (found.edit_share_chosen, found.edit_share_rejected, found.edit_spans) == (0, 0, 0)
    assert (found.common_prefix_share, found.length_ratio) == (1, 1)
    assert "identical" in found.flags
    assert "whitespace_only" not in found.flags


@given(TEXT, TEXT)
def test_bounds_and_what_must_agree(rejected: str, chosen: str) -> None:
    found = scores(rejected, chosen)
    for name in (
        "jaccard_set",
        "jaccard_multiset",
        "indel_similarity",
        "edit_share_chosen",
        "edit_share_rejected",
        "common_prefix_share",
        "clean_edit_share_chosen",
        "clean_edit_share_rejected",
        "length_balance",
        "overlap",
        "contrastiveness",
    ):
        assert 0 <= getattr(found, name) <= 1
    shared = (1 - found.edit_share_chosen) * found.chosen_length
    total = found.chosen_length + found.rejected_length
    assert shared == pytest.approx((1 - found.edit_share_rejected) * found.rejected_length)
    assert found.indel_similarity == pytest.approx(2 * shared / total if total else 1)
    spanned = found.edit_spans * found.span_length_mean
    assert spanned == pytest.approx((1 - found.indel_similarity) * total)
    assert found.span_length_mean <= found.span_length_max <= spanned + 1e-9
    assert ("identical" in found.flags) == (found.indel_similarity == 1)
    assert set(found.flags) <= set(FLAGS)
    assert found.clean_edit_spans <= found.edit_spans
    assert found.clean_edit_share_chosen >= found.edit_share_chosen
    product = found.length_balance * found.overlap
    dead = {"identical", "whitespace_only"} & set(found.flags)
    assert found.contrastiveness == pytest.approx(0 if dead else product)
    assert found.contrastiveness <= found.indel_similarity + 1e-12
    json.dumps(found.to_json(), allow_nan=False)


@given(TEXT, TEXT)
def test_sides_change_places(rejected: str, chosen: str) -> None:
    found, mirrored = scores(rejected, chosen), scores(chosen, rejected)
    for name in (
        "jaccard_set",
        "jaccard_multiset",
        "indel_similarity",
        "edit_spans",
        "span_length_mean",
        "span_length_max",
        "common_prefix_share",
        "clean_edit_spans",
        "length_balance",
        "overlap",
        "contrastiveness",
    ):
        assert getattr(found, name) == getattr(mirrored, name)
    assert found.edit_share_chosen == mirrored.edit_share_rejected
    if found.length_ratio and mirrored.length_ratio:
        assert math.isclose(found.length_ratio * mirrored.length_ratio, 1)


def test_messages_are_compared_by_their_text() -> None:
    def turns(*texts: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text} for text in texts]

    plain = score_pair("Why?", "a\nb", "a\nc", None)
    prompt = [{"role": "user", "content": "Why?"}]
    assert score_pair(prompt, turns("a\nb"), turns("a\nc"), None) == plain
    split = score_pair(prompt, turns("a", "b"), turns("a\nc"), None)
    assert split.flags == ("turns_differ",)
    assert split.indel_similarity == plain.indel_similarity


def test_100k_graphemes_are_not_compared_all_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rejected = "".join(chr(0x4E00 + at * 7919 % 5_000) for at in range(100_000))
    chosen = "".join(chr(0x4E00 + at * 6101 % 5_000) for at in range(100_000))
    cells = count_cells(monkeypatch)
    found, calls = counted_calls(lambda: scores(rejected, chosen))
    assert sum(cells) <= EXACT_CELLS
    assert calls < 20 * len(rejected)
    assert found.flags == ("approximate",)


def test_every_field_is_explained() -> None:
    described = PairScores.__doc__ or ""
    assert [field.name for field in fields(PairScores) if f"{field.name}: " not in described] == []


def test_thoughts_are_left_out_and_flagged() -> None:
    bare = score_pair("q", "The sum is 42.", "The sum is 41.")
    thinking = score_pair(
        "q", "<think>\nlong thoughts\n</think>\n\nThe sum is 42.", "The sum is 41."
    )
    assert thinking.flags == ("thoughts",)
    assert thinking.to_json() == {**bare.to_json(), "flags": ["thoughts"]}
    messages = [{"role": "assistant", "content": "<think>a</think>The sum is 42."}]
    other = [{"role": "assistant", "content": "The sum is 41."}]
    assert score_pair("q", messages, other).flags == ("thoughts",)
    assert "thoughts" not in score_pair("q", "only </think> in prose", "b").flags
