"""The parser: the right text or a reason, never a fragment."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.generation.marks import ReplyMarks, nonce_marks, paper_marks
from clairkit.generation.parser import Revision, parse_reply, same_text
from clairkit.generation.sampling import Failure, Reply

NONCE = "0a1b2c3d"
OURS, PAPER = nonce_marks(NONCE), paper_marks(NONCE)
WHY, NEW, END = (f"[[{name}:{NONCE}]]" for name in ("reasoning", "revision", "end"))
ANSWER = "Two pens cost 20."

# What a reviser of the published form says -> the revision, or the detail code of parse_error.
T, C = "{teacher_reasoning}", "{corrected_student_solution}"
PAPER_REPLIES = {
    "plain": (
        f"{T}\n\nWrong sum.\n\n{C}\n\nTwo pens cost 24.",
        Revision("Two pens cost 24.", "Wrong sum."),
    ),
    "colon": (f"{T}:\nWrong.\n\n{C}:\nSure: 24.", Revision("Sure: 24.", "Wrong.")),
    "colon and space": (f"{T}: \nWrong.\n\n{C}: \nSure.", Revision("Sure.", "Wrong.")),
    "same line": (
        f"{T}: Wrong:\n\n1. sum\n\n{C}: Sure.\n\nx",
        Revision("Sure.\n\nx", "Wrong:\n\n1. sum"),
    ),
    "bold": (f"**{T}**\nWrong.\n**{C}**\nSure.", Revision("Sure.", "Wrong.")),
    "bold, colon outside": (f"**{T}**: Wrong.\n**{C}**: Sure.", Revision("Sure.", "Wrong.")),
    "bold, colon inside": (f"**{T}:** Wrong.\n**{C}:** Sure.", Revision("Sure.", "Wrong.")),
    "heading": (f"## {T}\nWrong.\n## {C}\nSure.", Revision("Sure.", "Wrong.")),
    "code span": (f"`{T}`\nWrong.\n`{C}`\nSure.", Revision("Sure.", "Wrong.")),
    "capitals": (f"{T.upper()}\nWrong.\n{C.upper()}\nSure.", Revision("Sure.", "Wrong.")),
    "escaped": (
        "\\{teacher\\_reasoning\\}\nW.\n\\{corrected\\_student\\_solution\\}\nSure.",
        Revision("Sure.", "W."),
    ),
    "double braces": (f"{{{T}}}\nW.\n{{{C}}}\nSure.", Revision("Sure.", "W.")),
    "full-width colon": (f"{T}\uff1a Wrong.\n{C}\uff1aSure.", Revision("Sure.", "Wrong.")),
    "full-width braces": (
        "\uff5bteacher_reasoning\uff5d\nW.\n\uff5bcorrected_student_solution\uff5d\nSure.",
        Revision("Sure.", "W."),
    ),
    "windows lines": (f"{T}\r\nW.\r\n{C}\r\nSure.\r\nx\r\n", Revision("Sure.\r\nx", "W.")),
    "byte order mark": (f"\ufeff{T}\nW.\n{C}\nSure.", Revision("Sure.", "W.")),
    "preamble": (f"Here you are:\n{T}\nW.\n{C}\nSure.", Revision("Sure.", "W.")),
    "no reasoning mark": (f"W.\n{C}\nSure.", Revision("Sure.", "W.")),
    "no reasoning": (f"{C}\nSure.", Revision("Sure.")),
    "empty reasoning": (f"{T}\n{C}\nSure.", Revision("Sure.")),
    "quoted in the reasoning": (
        f"{T}\nBelow, in {C}: I say so.\n{C}\nSure.",
        Revision("Sure.", f"Below, in {C}: I say so."),
    ),
    "begins a sentence of the reasoning": (
        f"{T}\n{C} follows.\n{C}\nSure.",
        Revision("Sure.", f"{C} follows."),
    ),
    "in a fence of the reasoning": (
        f"{T}\nForm:\n```\n{C}\nx\n```\n{C}\nSure.",
        Revision("Sure.", f"Form:\n```\n{C}\nx\n```"),
    ),
    "whole reply fenced": (f"```\n{T}\nW.\n{C}\nSure.\n```", Revision("Sure.", "W.")),
    "whole reply fenced, code inside": (
        f"````markdown\n{T}\nW.\n{C}\nSo:\n```py\nx\n```\n````",
        Revision("So:\n```py\nx\n```", "W."),
    ),
    "code in the revision": (
        f"{T}\nW.\n{C}\n```py\n    x = 1\n```",
        Revision("```py\n    x = 1\n```", "W."),
    ),
    "indented first line": (f"{T}\nW.\n{C}\n\n    x = 1", Revision("    x = 1", "W.")),
    "thought first": (
        f"<think>\n{C}\nDraft.\n</think>\n{T}\nW.\n{C}\nSure.",
        Revision("Sure.", "W."),
    ),
    "thought without its start": (
        f"{C}\nDraft.\n</think>\n{T}\nW.\n{C}\nSure.",
        Revision("Sure.", "W."),
    ),
    "missing": ("Two pens cost 24.", "marker_missing"),
    "nothing": ("", "marker_missing"),
    "only reasoning": (f"{T}\nWrong.", "marker_missing"),
    "words instead of the mark": ("**Corrected student solution:**\nSure.", "marker_missing"),
    "half a mark": (f"{T}\nW.\n{{corrected_student_solution\nSure.", "marker_missing"),
    "thought that never ends": (f"<think>\n{C}\nDraft.", "marker_missing"),
    "inline only": (f"{T}\nW. My {C}: Sure.", "marker_inline"),
    "sentence only": (f"{T}\n{C} would be the same.", "marker_inline"),
    "fence only": (f"{T}\nForm:\n```\n{C}\nx\n```\nSure.", "marker_in_fence"),
    "fence left open": (f"{T}\n```\nx\n{C}\nSure.", "marker_in_fence"),
    "twice": (f"{T}\nW.\n{C}\nDraft.\n{C}\nSure.", "marker_twice"),
    "two drafts": (f"{T}\nW.\n{C}\nDraft.\n{T}\nMore.\n{C}\nSure.", "marker_twice"),
    "twice, once bold": (f"**{C}**\nDraft.\n{C}: Sure.", "marker_twice"),
    "reasoning last": (f"{C}\nSure.\n{T}\nWrong.", "marker_order"),
    "empty": (f"{T}\nW.\n{C}\n", "revision_empty"),
    "blank": (f"{T}\nW.\n{C}:\n \t\n\n", "revision_empty"),
    "mark within the revision": (f"{T}\nW.\n{C}\nAs {C} shows.", "marker_leak"),
    "request mark within the revision": (f"{T}\nW.\n{C}\n[[answer:{NONCE}]]\nSure.", "marker_leak"),
    "prose in a fence": (f"{T}\nW.\n{C}\n```\nSure.\n```", "revision_fenced"),
    "markdown in a fence": (f"{T}\nW.\n{C}\n```markdown\nSure.\n```", "revision_fenced"),
}

OUR_REPLIES = {
    "plain": (f"{WHY}\nW.\n{NEW}\nSure.\n{END}", Revision("Sure.", "W.")),
    "end on the last line": (f"{WHY}\nW.\n{NEW}\nSure.{END}", Revision("Sure.", "W.")),
    "bold": (f"**{WHY}**\nW.\n**{NEW}**\nSure.\n**{END}**\n", Revision("Sure.", "W.")),
    "published marks are text": (f"{WHY}\nW.\n{NEW}\n{C}\nx\n{END}", Revision(f"{C}\nx", "W.")),
    "another nonce is text": (
        f"{WHY}\nW.\n{NEW}\n[[end:99999999]]\nx\n{END}",
        Revision("[[end:99999999]]\nx", "W."),
    ),
    "end after the reasoning, too": (
        f"{WHY}\nW.\n{END}\n{NEW}\nSure.\n{END}",
        Revision("Sure.", f"W.\n{END}"),
    ),
    "form quoted in a fence": (
        f"{WHY}\n```\n{NEW}\nx\n{END}\n```\n{NEW}\nSure.\n{END}",
        Revision("Sure.", f"```\n{NEW}\nx\n{END}\n```"),
    ),
    "no end": (f"{WHY}\nW.\n{NEW}\nSure.", "end_missing"),
    "two ends": (f"{WHY}\nW.\n{NEW}\nSure.\n{END}\nMore.\n{END}", "marker_twice"),
    "text after the end": (f"{WHY}\nW.\n{NEW}\nSure.\n{END}\nI hope this helps!", "text_after_end"),
    "end at once": (f"{WHY}\nW.\n{NEW}\n{END}", "revision_empty"),
    "only an end": (f"Sure.\n{END}", "marker_missing"),
    "answer's mark copied": (
        f"{WHY}\nW.\n{NEW}\nSure.\n[[answer-end:{NONCE}]]\n{END}",
        "marker_leak",
    ),
    "another nonce": (f"{WHY}\nW.\n{NEW.replace('0a', '0b')}\nSure.\n{END}", "marker_missing"),
}

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
