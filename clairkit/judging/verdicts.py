"""Render a judge's request, and read which of two answers its reply names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, cast

from clairkit.judging.rubrics import TEXTS
from clairkit.models.markers import delimit_conversation, mark
from clairkit.models.sampling import Failure, Reply
from clairkit.records import Message, digest
from clairkit.records.thoughts import split_thoughts
from clairkit.texts import texts

UNCLEAR = "verdict_unclear"
Verdict = Literal["first", "second", "tie"]
Grade = Literal["first_much", "first", "tie", "second", "second_much"]
Form = Literal["verdict", "grade"]
"""Which is better; or also whether it is much better."""

_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}")
_VERDICT = re.compile(
    r"\[\[[ \t]*(A-much|A|tie|B-much|B)[ \t]*:[ \t]*([0-9a-f]{8})[ \t]*\]\]", re.IGNORECASE
)
_MARKS: dict[Grade, str] = {
    "first_much": "A-much",
    "first": "A",
    "tie": "tie",
    "second": "B",
    "second_much": "B-much",
}
_MEANINGS = {name.lower(): grade for grade, name in _MARKS.items()}


def plain(grade: Grade) -> Verdict:
    """Return which is better, however much."""
    return cast(Verdict, grade.removesuffix("_much"))


def template_hash(language: str, form: Form = "verdict") -> str:
    """Return what determines a judge's request besides rubric and texts; part of every key.

    Raises:
        UsageError: there is no request in that language.
    """
    return digest(_text(language, form))[:16]


def render_request(
    prompt: Sequence[Message],
    answers: tuple[str, str],
    rubric: str,
    *,
    language: str,
    nonce: str,
    form: Form = "verdict",
) -> tuple[Message, ...]:
    """Return the request to compare two answers.

    Args:
        prompt: the conversation that was answered.
        answers: the first is shown as A, the second as B.
        rubric: the lines that say what counts.
        language: of the request.
        nonce: part of each mark, so that no text can forge one.
        form: what may be said.
    """
    values = {
        "rubric": rubric,
        "conversation": delimit_conversation(prompt, nonce),
        "answer_a": _between("answer-a", answers[0], nonce),
        "answer_b": _between("answer-b", answers[1], nonce),
        **{name.lower().replace("-", "_"): mark(name, nonce) for name in _MARKS.values()},
    }
    # One pass: a placeholder in a text that is judged stays text.
    text = _PLACEHOLDER.sub(lambda found: values[found[1]], _text(language, form))
    return (Message(role="user", content=text),)


def read_verdict(reply: Reply, nonce: str) -> Grade | Failure:
    """Return the one verdict in a reply; where two can be read, or none, a failure."""
    if reply.finish_reason == "length":
        return Failure(UNCLEAR, "cut at its token limit", reply.text)
    text = split_thoughts(reply.text, follows=lambda rest: bool(_VERDICT.search(rest))).answer
    found = {match[1].lower() for match in _VERDICT.finditer(text) if match[2].lower() == nonce}
    if len(found) != 1:
        named = ", ".join(sorted(found)) or "none"
        return Failure(UNCLEAR, f"verdicts in it: {named}", reply.text)
    return _MEANINGS[found.pop()]


def read_said(reply: Reply) -> Grade | Failure:
    """Return the verdict that a function gave."""
    said = reply.text.strip().lower()
    for grade in _MARKS:
        if said == grade:
            return grade
    detail = "a judge returns 'first', 'second' or 'tie', or 'first_much' or 'second_much'"
    return Failure("function_error", detail, reply.text)


def _text(language: str, form: Form) -> str:
    found = texts(TEXTS, language)
    return f"{found['request']}{found[form]}"


def _between(name: str, text: str, nonce: str) -> str:
    return f"{mark(name, nonce)}\n{text}\n{mark(f'{name}-end', nonce)}"
