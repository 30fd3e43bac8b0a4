"""Render a judge's request, and read which of two answers its reply names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from clairkit.judging.rubrics import TEXTS
from clairkit.models.markers import delimit_conversation, mark
from clairkit.models.sampling import Failure, Reply
from clairkit.records import Message, digest
from clairkit.records.thoughts import split_thoughts
from clairkit.texts import texts

UNCLEAR = "verdict_unclear"
Verdict = Literal["first", "second", "tie"]

_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}")
_VERDICT = re.compile(r"\[\[[ \t]*(A|B|tie)[ \t]*:[ \t]*([0-9a-f]{8})[ \t]*\]\]", re.IGNORECASE)
_MEANINGS: dict[str, Verdict] = {"a": "first", "b": "second", "tie": "tie"}
_SAID: dict[str, Verdict] = {"first": "first", "second": "second", "tie": "tie"}


def template_hash(language: str) -> str:
    """Return what determines a judge's request besides rubric and texts; part of every key.

    Raises:
        UsageError: there is no request in that language.
    """
    return digest(_text(language))[:16]


def render_request(
    prompt: Sequence[Message], answers: tuple[str, str], rubric: str, *, language: str, nonce: str
) -> tuple[Message, ...]:
    """Return the request to compare two answers.

    Args:
        prompt: the conversation that was answered.
        answers: the first is shown as A, the second as B.
        rubric: the lines that say what counts.
        language: of the request.
        nonce: part of each mark, so that no text can forge one.
    """
    values = {
        "rubric": rubric,
        "conversation": delimit_conversation(prompt, nonce),
        "answer_a": _between("answer-a", answers[0], nonce),
        "answer_b": _between("answer-b", answers[1], nonce),
        "a": mark("A", nonce),
        "b": mark("B", nonce),
        "tie": mark("tie", nonce),
    }
    # One pass: a placeholder in a text that is judged stays text.
    text = _PLACEHOLDER.sub(lambda found: values[found[1]], _text(language))
    return (Message(role="user", content=text),)


def read_verdict(reply: Reply, nonce: str) -> Verdict | Failure:
    """Return the one verdict in a reply; where two can be read, or none, a failure."""
    if reply.finish_reason == "length":
        return Failure(UNCLEAR, "cut at its token limit", reply.text)
    text = split_thoughts(reply.text, follows=lambda rest: bool(_VERDICT.search(rest))).answer
    found = {match[1].lower() for match in _VERDICT.finditer(text) if match[2].lower() == nonce}
    if len(found) != 1:
        named = ", ".join(sorted(found)) or "none"
        return Failure(UNCLEAR, f"verdicts in it: {named}", reply.text)
    return _MEANINGS[found.pop()]


def read_said(reply: Reply) -> Verdict | Failure:
    """Return the verdict that a function gave."""
    said = _SAID.get(reply.text.strip().lower())
    if said is None:
        detail = "a judge returns 'first', 'second' or 'tie'"
        return Failure("function_error", detail, reply.text)
    return said


def _text(language: str) -> str:
    return str(texts(TEXTS, language)["request"])


def _between(name: str, text: str, nonce: str) -> str:
    return f"{mark(name, nonce)}\n{text}\n{mark(f'{name}-end', nonce)}"
