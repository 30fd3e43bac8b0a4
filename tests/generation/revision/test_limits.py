"""Limits of a revision: the share of edits as scoring has it, the length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_tokenizer

from clairkit.generation.revision import reply_forms
from clairkit.generation.revision.reply_forms import edit_share, over_limits
from clairkit.scoring import score_pair, units_of

texts = st.text("ab\u3042 \u0301", max_size=30)


@given(texts, texts)
def test_the_share_is_that_of_the_scores(answer: str, revision: str) -> None:
    scores = score_pair("", revision, answer)
    share = edit_share(units_of(answer, None), units_of(revision, None))
    assert share == max(scores.edit_share_chosen, scores.edit_share_rejected)


def exceeded(answer: str, revision: str, **options: object) -> list[str]:
    defaults = {"max_edit_share": None, "length_neutral": False, "tokenizer": None}
    return [fault.code for _, fault in over_limits(answer, revision, **{**defaults, **options})]


def test_a_limit_is_exceeded_above_it() -> None:
    assert exceeded("a" * 10, "a" * 8 + "bb", max_edit_share=0.2) == []
    assert exceeded("a" * 10, "a" * 8 + "bb", max_edit_share=0.19) == ["edit_share"]


def test_a_length_may_change_by_a_tenth_and_a_little_in_short_answers() -> None:
    assert exceeded("a" * 1000, "a" * 1100, length_neutral=True) == []
    assert exceeded("a" * 1000, "a" * 1101, length_neutral=True) == ["length_changed"]
    assert exceeded("a" * 1000, "a" * 899, length_neutral=True) == ["length_changed"]
    assert exceeded("a" * 10, "a" * 20, length_neutral=True) == []
    assert exceeded("a" * 10, "a" * 21, length_neutral=True, max_edit_share=0.5) == [
        "edit_share",
        "length_changed",
    ]


def test_units_are_the_tokenizers_when_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reply_forms, "load_tokenizer", lambda name: {"tiny": make_tokenizer()}[name]
    )
    # One grapheme of three bytes, three tokens of this tokenizer, among 14 others.
    answer, revision = "a b c d e f g ", "a b c d e f g \u3042"
    assert exceeded(answer, revision, max_edit_share=0.1) == []
    assert exceeded(answer, revision, max_edit_share=0.1, tokenizer="tiny") == ["edit_share"]
