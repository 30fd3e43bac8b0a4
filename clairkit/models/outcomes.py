"""Prepare results for the journal: thoughts apart, and nothing that UTF-8 can't hold."""

from __future__ import annotations

from dataclasses import replace

from clairkit.models.reasons import HALTED
from clairkit.models.sampling import Failure, Outcome, Reply
from clairkit.records.json_types import JsonObject
from clairkit.records.thoughts import (
    THOUGHT_MARKS,
    Marks,
    join_thoughts,
    marks_as_json,
    split_thoughts,
)

ONLY_THOUGHTS = "thoughts, and no answer after them"
"""The detail of a failure whose reply is nothing but thoughts."""


def thoughts_apart(
    outcome: Outcome, marks: Marks = THOUGHT_MARKS, *, opened: str | None = None
) -> Outcome:
    """Return a reply whose text is the answer alone; failures stay as they are.

    Args:
        outcome: as a model gave it; it may have thoughts from elsewhere already.
        marks: that delimit thoughts.
        opened: the opening mark that the prompt ends with, if it is known to.
    """
    if isinstance(outcome, Failure):
        return outcome
    said = split_thoughts(outcome.text, marks, opened=opened)
    if said.thoughts is None:
        return outcome
    return replace(
        outcome, text=said.answer, thoughts=join_thoughts(outcome.thoughts, said.thoughts)
    )


def usable(outcome: Outcome, marks: Marks = THOUGHT_MARKS) -> Outcome:
    """Return an answer that can be a side of a pair, without its thoughts, or why it can't.

    Thoughts in the text of a reply are split off here, too, where nobody has done it before: in a
    given answer, and in results of a journal of before.
    """
    if isinstance(outcome, Failure):
        return outcome
    answer = thoughts_apart(outcome, marks) if outcome.thoughts is None else outcome
    assert isinstance(answer, Reply)
    if answer.finish_reason == "length":
        cut = answer.text or answer.thoughts or ""
        return Failure("answer_truncated", "cut at its token limit", cut)
    if answer.is_only_thoughts:
        return Failure("answer_truncated", ONLY_THOUGHTS, answer.thoughts or "")
    if not answer.text.strip():
        return Failure("answer_empty", "no text")
    return answer


def marks_identity(marks: Marks) -> JsonObject:
    """Return what marks add to a model's identity: nothing for the usual ones."""
    return {} if marks == THOUGHT_MARKS else {"thought_marks": marks_as_json(marks)}


def storable(outcome: Outcome) -> Outcome:
    """Return a result that UTF-8 can hold: a lone surrogate makes it a failure."""
    more = (getattr(outcome, name, None) or "" for name in ("rationale", "thoughts"))
    try:
        "".join((outcome.text, *more)).encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(error.object[error.start]):04X}"
        text = outcome.text.encode("utf-8", "backslashreplace").decode()
        spent = (outcome.prompt_tokens, outcome.completion_tokens, outcome.tries)
        return Failure("bad_unicode", f"lone surrogate {code}", text, *spent)
    if isinstance(outcome, Failure):
        detail = outcome.detail.encode("utf-8", "backslashreplace").decode()
        return replace(outcome, detail=detail)
    return outcome


def is_halted(outcome: Outcome) -> bool:
    """Whether the run stopped before there was a result."""
    return isinstance(outcome, Failure) and outcome.reason == HALTED
