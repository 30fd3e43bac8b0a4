"""The parser: the right text or a reason, never a fragment."""

from __future__ import annotations

import re

import pytest
from hostile_replies import ANSWER, END, NEW, NONCE, WHY, C, T
from hostile_replies import OURS as OUR_REPLIES
from hostile_replies import PAPER as PAPER_REPLIES
from hypothesis import given
from hypothesis import strategies as st

from clairkit.generation.revision.parser import Revision, parse_reply
from clairkit.models.markers import ReplyMarks, nonce_marks, paper_marks
from clairkit.models.sampling import Failure, Reply
from clairkit.scoring.units import same_text

OURS, PAPER = nonce_marks(NONCE), paper_marks(NONCE)
CASES = [
    *(pytest.param(PAPER, *case, id=f"paper: {name}") for name, case in PAPER_REPLIES.items()),
    *(pytest.param(OURS, *case, id=f"ours: {name}") for name, case in OUR_REPLIES.items()),
]


@pytest.mark.parametrize(("marks", "text", "expected"), CASES)
def test_reply(marks: ReplyMarks, text: str, expected: Revision | str) -> None:
    found = parse_reply(Reply(text), marks, ANSWER)
    if isinstance(expected, str):
        expected = Failure("parse_error", expected, text)
    assert found == expected


def test_a_cut_reply_is_no_revision() -> None:
    text = f"{WHY}\nW.\n{NEW}\nSure.\n{END}"
    assert parse_reply(Reply(text, "length"), OURS, ANSWER).reason == "truncated"


def test_a_mark_that_the_answer_holds_may_stay_inline() -> None:
    text = f"{T}\nW.\n{C}\nWrite {C} so."
    assert parse_reply(Reply(text), PAPER, f"write {C} so").text == f"Write {C} so."


def test_a_fence_that_the_answer_has_may_stay() -> None:
    text = f"{T}\nW.\n{C}\n```\nx = 2\n```"
    assert parse_reply(Reply(text), PAPER, "```\nx = 1\n```").text == "```\nx = 2\n```"


texts = st.text(
    st.sampled_from("ab {}[]:*`~#\n\r\t\u3042\uff5b\uff1a<>/_") | st.characters(codec="utf-8")
)
pieces = st.sampled_from(
    [T, C, WHY, NEW, END, "```", "\n", "<think>", "</think>", "**", ":", "text", "x\n"]
)
hostile = st.lists(pieces | texts, max_size=12).map("".join)


def trimmed(body: str) -> str:
    return re.sub(r"\A(?:[ \t]*\r?\n)+", "", body).rstrip()


@given(texts, texts)
def test_ours_gives_the_text_back_or_a_reason(reasoning: str, body: str) -> None:
    found = parse_reply(Reply(f"{WHY}\n{reasoning}\n{NEW}\n{body}\n{END}"), OURS, ANSWER)
    if isinstance(found, Revision):
        assert found.text == trimmed(body)
    else:
        fenced = "```" in reasoning or "~~~" in reasoning or trimmed(body)[:1] in ("`", "~")
        assert fenced or "think" in reasoning or not body.strip()


@given(texts, texts)
def test_paper_gives_the_text_back_or_a_reason(reasoning: str, body: str) -> None:
    found = parse_reply(Reply(f"{T}\n{reasoning}\n{C}\n{body}"), PAPER, ANSWER)
    assert isinstance(found, Failure) or found.text == trimmed(body)


@given(hostile, st.sampled_from([OURS, PAPER]))
def test_any_reply_gives_a_whole_part_or_a_reason(text: str, marks: ReplyMarks) -> None:
    found = parse_reply(Reply(text), marks, ANSWER)
    if isinstance(found, Failure):
        assert found.reason == "parse_error"
        return
    assert found.text.strip()
    place = text.index(found.text)
    # It runs from a mark to the end of the reply, to an end mark or to the fence round it all.
    rest = text[place + len(found.text) :].strip()
    assert rest == "" or END in rest or set(rest) <= set("`~ \n\r\t")
    assert marks.revision.find(text[: place + 1], NONCE)


@given(texts.filter(lambda body: trimmed(body)), st.data())
def test_no_beginning_of_a_reply_of_ours_passes(body: str, data: st.DataObject) -> None:
    whole = f"{WHY}\nW.\n{NEW}\n{body}\n{END}"
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert isinstance(parse_reply(Reply(cut), OURS, ANSWER), Failure)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a b", "a b", True),
        ("a b", " a\n\u3000b ", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("a b", "a c", False),
        ("cafe", "caf\u00e9", False),
    ],
)
def test_same_text(one: str, other: str, same: bool) -> None:
    assert same_text(one, other) is same
