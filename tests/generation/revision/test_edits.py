"""Edits: all or none, each at a place that can be told, and no byte touched elsewhere."""

from __future__ import annotations

import pytest
from hostile_replies import BILL, EDIT_REPLIES, EDITS, END, FIND, NONCE, PUT, TAG, TO, WHY
from hypothesis import given
from hypothesis import strategies as st

from clairkit.generation.revision.edits import Applied, Asked, Edit, EditFault, apply_edits
from clairkit.generation.revision.parser import Revision
from clairkit.generation.revision.reply_forms import Draft, Unusable, read_edited, read_rewrite
from clairkit.generation.revision.templates import load_template
from clairkit.models.markers import edits_marks, nonce_marks
from clairkit.models.sampling import Failure, Reply
from clairkit.records import Message

MARKS = edits_marks(NONCE, TAG)


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(*case, id=name) for name, case in EDIT_REPLIES.items()]
)
def test_reply(text: str, expected: Revision | str) -> None:
    found = read_edited(Reply(text), MARKS, BILL)
    if isinstance(expected, Revision):
        assert isinstance(found, Draft)
        assert found.revision == expected
        return
    reason = "edit_failed" if " in edit " in expected else "parse_error"
    assert isinstance(found, Unusable)
    assert found.failure == Failure(reason, expected, text)
    assert found.faults  # the reviser can be told, and asked again


@pytest.mark.parametrize("form", [read_edited, read_rewrite])
def test_what_asking_again_would_not_mend(form: type) -> None:
    marks = MARKS if form is read_edited else nonce_marks(NONCE)
    for reply, reason in (
        (Reply("[[", "length"), "truncated"),
        (Reply("I'm sorry, but I can't help with that."), "refusal"),
    ):
        found = form(reply, marks, BILL)
        assert (found.failure.reason, found.faults) == (reason, ())


def asked(*edits: tuple[str, str]) -> list[Asked]:
    return [Asked(find, None, new) for find, new in edits]


def test_edits_say_where_they_are() -> None:
    found = apply_edits("one two three", asked(("three", "3"), ("one", "1"), ("two", "two")))
    assert found == Applied("1 two 3", (Edit(0, 3, "one", "1"), Edit(8, 13, "three", "3")))


def test_line_breaks_are_the_answers_own() -> None:
    answer = "a\r\nb\r\nc\r\n\r\nd"
    found = apply_edits(answer, asked(("b\nc", "B\nb\nC"), ("d", "D")))
    assert found == Applied(
        "a\r\nB\r\nb\r\nC\r\n\r\nD",
        (Edit(3, 7, "b\r\nc", "B\r\nb\r\nC"), Edit(11, 12, "d", "D")),
    )


@pytest.mark.parametrize(
    ("answer", "find"),
    [
        ("cafe\u0301 au lait", "cafe"),  # its last letter has an accent
        ("\U0001f1ef\U0001f1f5\U0001f1f7\U0001f1fa", "\U0001f1f5\U0001f1f7"),  # of two flags
        ("\u1112\u1161\u11ab", "\u1112\u1161"),  # Hangul in its letters
        ("\u0e01\u0e34\u0e19", "\u0e01"),  # a Thai consonant with its vowel sign
        ("a\U0001f44d\U0001f3fd b", "\U0001f44d"),  # a thumb with a skin tone
        ("\U0001f468\u200d\U0001f373", "\U0001f373"),  # the second half of a cook
    ],
)
def test_no_character_is_cut_apart(answer: str, find: str) -> None:
    assert apply_edits(answer, asked((find, "x"))) == (EditFault("find_missing", 1, find),)


def test_overlapping_occurrences_are_two() -> None:
    assert apply_edits("aaa", asked(("aa", "b"))) == (EditFault("find_ambiguous", 1, "aa"),)


def test_a_place_within_a_character_does_not_make_another_ambiguous() -> None:
    found = apply_edits("cafe\u0301 cafe", asked(("cafe", "tea")))
    assert found == Applied("cafe\u0301 tea", (Edit(6, 10, "cafe", "tea"),))


# A piece is one letter that no other piece has, and hostile text behind it.
fillings = st.text(st.sampled_from(" .\n`*[]{}\u3042\u0301") | st.characters(codec="utf-8"))
plain = fillings.filter(lambda text: "\r" not in text)


@given(st.lists(st.tuples(plain, st.none() | plain), min_size=1, max_size=8))
def test_untouched_text_comes_through_exactly(pieces: list[tuple[str, str | None]]) -> None:
    """Each piece stands behind a key that occurs once; some are replaced, key included."""
    keys = [f"<{number}>\u2060" for number in range(len(pieces))]
    answer = "".join(f"{key}{text}<" for key, (text, _) in zip(keys, pieces, strict=True))
    parts = [
        f"{FIND}\n{key}{text}<\n{PUT}\n{new}"
        for key, (text, new) in zip(keys, pieces, strict=True)
        if new is not None
    ]
    expected = "".join(
        f"{key}{text}<" if new is None else new
        for key, (text, new) in zip(keys, pieces, strict=True)
    )
    body = "\n".join([WHY, "W.", EDITS, *reversed(parts), END])
    found = read_edited(Reply(body), MARKS, answer)
    assert isinstance(found, Draft)
    assert found.revision == Revision(expected, "W.")


tokens = st.sampled_from(
    [WHY, EDITS, FIND, TO, PUT, END, "```", "\n", "**", ":", "Pens", "20", "\r\n"]
)


@given(st.lists(tokens | fillings, max_size=14).map("".join))
def test_any_reply_gives_edits_that_fit_or_a_reason(text: str) -> None:
    found = read_edited(Reply(text), MARKS, BILL)
    if isinstance(found, Unusable):
        assert found.failure.reason in ("parse_error", "edit_failed")
        return
    rebuilt, done = "", 0
    for edit in found.edits:
        assert BILL[edit.start : edit.end] == edit.old
        assert BILL.count(edit.old) == 1 or TO in text
        rebuilt += BILL[done : edit.start] + edit.new
        done = edit.end
    assert found.revision.text == rebuilt + BILL[done:]


@given(st.data())
def test_no_beginning_of_a_reply_passes(data: st.DataObject) -> None:
    whole = EDIT_REPLIES["out of order"][0]
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert isinstance(read_edited(Reply(cut), MARKS, BILL), Unusable)


@pytest.mark.parametrize("changed", [1, 4, 20])
def test_what_edits_cost_follows_what_they_change(changed: int) -> None:
    """A reply is as long as both sides of its edits, and 30 characters for the marks of each."""
    lines = [f"Pen {number} costs {number} and comes in red or in blue." for number in range(40)]
    wrong = {number: line.replace("red", "green") for number, line in enumerate(lines)}
    answer = "\n".join(lines)
    request = load_template("edits").render((Message(role="user", content="q"),), answer, "key")
    nonce, tag = request.marks.nonce, request.marks.tag
    edits = [
        f"[[find:{tag}]]\n{lines[number]}\n[[replace:{tag}]]\n{wrong[number]}"
        for number in range(changed)
    ]
    reply = "\n".join([f"W.\n[[edits:{nonce}]]", *edits, f"[[end:{nonce}]]"])
    found = read_edited(Reply(reply), request.marks, answer)
    assert isinstance(found, Draft)
    assert found.revision.text == "\n".join([*list(wrong.values())[:changed], *lines[changed:]])
    both = sum(len(edit.old) + len(edit.new) for edit in found.edits)
    assert len(reply) <= both + 30 * changed + 60
