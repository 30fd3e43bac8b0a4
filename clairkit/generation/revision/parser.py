"""Read exactly one whole revision from a reviser's reply, or the reason why there is none.

The parser never guesses: where two readings are possible it gives `parse_error` and a detail code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clairkit.models.markers import DRESS, Mark, ReplyMarks
from clairkit.models.outcomes import ONLY_THOUGHTS
from clairkit.models.sampling import Failure, Reply
from clairkit.records.fences import FENCE, Line, closes, read_lines
from clairkit.records.thoughts import split_thoughts

# The detail codes of `parse_error`.
MISSING = "marker_missing"
INLINE = "marker_inline"  # only in the middle of a sentence
IN_FENCE = "marker_in_fence"
TWICE = "marker_twice"
ORDER = "marker_order"
NO_END = "end_missing"
AFTER_END = "text_after_end"
EMPTY = "revision_empty"
LEAK = "marker_leak"
FENCED = "revision_fenced"

# The dress of an end mark belongs to the mark: what begins its line, or stands on both its sides.
_OPENING_DRESS = re.compile(rf"(?m)^[ \t]{{0,3}}(?:#{{1,6}}[ \t]+)?(?:{DRESS})?\Z")
_CLOSING_DRESS = re.compile(DRESS)
_LEADING_BLANK_LINES = re.compile(r"\A(?:[ \t]*\r?\n)+")
_PROSE_FENCES = frozenset(("", "text", "txt", "plain", "plaintext", "markdown", "md"))


@dataclass(frozen=True)
class Revision:
    """What a reviser made of an answer, and why."""

    text: str
    rationale: str | None = None


@dataclass(frozen=True)
class Parts:
    """What stands behind the two marks of a reply; the body as it is, the rationale stripped."""

    body: str
    rationale: str | None


def parse_reply(reply: Reply, marks: ReplyMarks, answer: str) -> Revision | Failure:
    """Return the one revision in `reply`, or a failure: `truncated` or `parse_error`.

    Args:
        reply: what the reviser said.
        marks: the marks that it was asked to use.
        answer: the answer it revised; a mark that is in it may be in the revision.
    """
    if is_cut(reply):
        return cut(reply)
    parts = split_reply(reply.text, marks)
    found = parts if isinstance(parts, str) else _checked(parts, marks, answer)
    if isinstance(found, str):
        return Failure("parse_error", found, reply.text)
    return found


def is_cut(reply: Reply) -> bool:
    """Return whether a reply has not ended: cut at its limit, or nothing but thoughts."""
    return reply.finish_reason == "length" or reply.is_only_thoughts


def cut(reply: Reply) -> Failure:
    """Return the failure of a reply that has not ended."""
    if reply.finish_reason != "length":
        return Failure("truncated", ONLY_THOUGHTS, reply.thoughts or "")
    return Failure("truncated", "the reply was cut at its token limit", reply.text)


def split_reply(text: str, marks: ReplyMarks) -> Parts | str:
    """Return the parts of a reply, or the detail code of why they can't be told."""
    return _split(without_thought(text, marks), marks)


def _split(text: str, marks: ReplyMarks) -> Parts | str:
    lines = list(read_lines(text))
    at = _marked(lines, marks, marks.revision)
    inner = text.strip().split("\n")
    if not at and len(inner) > 2 and _lone_fence(inner):  # the reply as a whole is in a fence
        return _split("\n".join(inner[1:-1]), marks)
    if not at:
        return _why_missing(text, lines, marks)
    if len(at) > 1:
        return TWICE
    place = at[0]
    reasoning = _marked(lines, marks, marks.reasoning)
    if any(other > place for other in reasoning):
        return ORDER
    body = _after_mark(text, lines[place], marks.revision, marks.nonce)
    if marks.end is not None:
        body, problem = _until_end(body, marks.end, marks.nonce)
        if problem:
            return problem
    return Parts(body, _rationale(text, lines, reasoning, place, marks))


def _checked(parts: Parts, marks: ReplyMarks, answer: str) -> Revision | str:
    revision = _LEADING_BLANK_LINES.sub("", parts.body).rstrip()
    if split_thoughts(answer).thoughts is None:  # else the marks are a part of the answer
        revision = split_thoughts(revision).answer
    if not revision.strip():
        return EMPTY
    nonce = marks.nonce
    if any(leak.find(revision, nonce) and not leak.find(answer, nonce) for leak in marks.leaks):
        return LEAK
    fence = _lone_fence(revision.split("\n"))
    if (
        fence
        and fence["info"].strip().lower() in _PROSE_FENCES
        and not FENCE.match(answer.strip().partition("\n")[0])
    ):
        return FENCED
    return Revision(revision, parts.rationale)


def _marked(lines: list[Line], marks: ReplyMarks, mark: Mark) -> list[int]:
    """Return the places of the lines that are this mark, code fences aside."""
    return [
        place
        for place, line in enumerate(lines)
        if not line.is_inside and mark.line(line.text, marks.nonce)
    ]


def _why_missing(text: str, lines: list[Line], marks: ReplyMarks) -> str:
    mark, nonce = marks.revision, marks.nonce
    if not mark.find(text, nonce):
        return MISSING
    return (
        IN_FENCE
        if any(line.is_inside and mark.line(line.text, nonce) for line in lines)
        else INLINE
    )


def _after_mark(text: str, line: Line, mark: Mark, nonce: str) -> str:
    """Return what follows a mark: the rest of its line behind a colon, and all lines below."""
    match = mark.line(line.text, nonce)
    if match is None or match["text"] is None:
        return text[line.end + 1 :]
    return text[line.start + match.start("text") :]


def _until_end(body: str, end: Mark, nonce: str) -> tuple[str, str | None]:
    """Return what stands before the end mark, and a detail code when it can't be told."""
    ends = end.find(body, nonce)
    if len(ends) != 1:
        return body, TWICE if ends else NO_END
    before, after = body[: ends[0].start()], body[ends[0].end() :]
    if after.strip(" \t\r\n*_`~:\uff1a"):
        return body, AFTER_END
    closing = _CLOSING_DRESS.match(after)
    if closing and before.endswith(closing[0]):
        if before.count(closing[0]) % 2 == 0:
            return body, AFTER_END  # the text's own dress: what is behind the mark is loose
        before = before.removesuffix(closing[0])
    return _OPENING_DRESS.sub("", before), None


def _rationale(
    text: str, lines: list[Line], reasoning: list[int], place: int, marks: ReplyMarks
) -> str | None:
    start = 0
    if reasoning:
        rest = _after_mark(text, lines[reasoning[0]], marks.reasoning, marks.nonce)
        start = len(text) - len(rest)
    return text[start : lines[place].start].strip() or None


def _lone_fence(lines: Sequence[str]) -> re.Match[str] | None:
    """Return the first line as a fence when the last one closes it."""
    first, last = FENCE.match(lines[0]), FENCE.match(lines[-1])
    return first if first and last and len(lines) > 1 and closes(last, first) else None


def without_thought(text: str, marks: ReplyMarks) -> str:
    """Return a reply without the thoughts that some models write before it."""
    said = split_thoughts(
        text.removeprefix("\ufeff"),
        follows=lambda rest: bool(marks.revision.find(rest, marks.nonce)),
    )
    return said.answer
