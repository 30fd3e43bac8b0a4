"""Delimit what a reviser is sent and what it sends back.

Our own marks carry a nonce, `[[revision:3fa9c01e]]`, made from the row's key: a text that was
written before the row was drawn up can't hold them. The published markers of the CLAIR paper,
`{corrected_student_solution}`, carry none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from clairkit.records import Message, digest

# How models dress a mark: a heading, bold, a code span, a quoted or escaped brace.
DRESS = r"\*{1,3}|_{2,3}|`"
_BEFORE = rf"^[ \t]{{0,3}}(?:#{{1,6}}[ \t]+)?(?P<dress>{DRESS})?"
_COLON = "[:\uff1a]"  # also the full-width one
_ALONE = rf"{_COLON}?(?:{DRESS})?{_COLON}?[ \t]*\r?$"
# Text on the mark's line: what it is dressed in ends before, else it would be the text's, too.
_CLOSED = r"(?(dress)(?P=dress))"
_WITH_TEXT = rf"(?:{_COLON}{_CLOSED}|{_CLOSED}{_COLON})[ \t]*(?P<text>\S[^\r\n]*\r?)$"


class Mark:
    """One mark, as patterns that are compiled once for all rows.

    Args:
        pattern: of the mark itself; may have a group `nonce`.
    """

    def __init__(self, pattern: str) -> None:
        self._anywhere = re.compile(pattern, re.IGNORECASE)
        self._line = re.compile(f"{_BEFORE}(?:{pattern})(?:{_ALONE}|{_WITH_TEXT})", re.IGNORECASE)

    def line(self, text: str, *nonces: str) -> re.Match[str] | None:
        """Match a line that is the mark: alone, or with a colon and text behind it."""
        match = self._line.match(text)
        return match if match and match.groupdict().get("nonce") in (None, *nonces) else None

    def find(self, text: str, *nonces: str) -> list[re.Match[str]]:
        """Return the marks in a text, wherever they stand."""
        found = self._anywhere.finditer(text)
        return [match for match in found if match.groupdict().get("nonce") in (None, *nonces)]


@dataclass(frozen=True)
class ReplyMarks:
    """The marks of one row's reply.

    `revision` heads the part that counts: the whole revision, or the edits. `end` is None where
    the form has no end mark: that part then runs to the end of the reply. `leaks` are the marks
    that may not stand in a revision. `tag` is the short nonce of the marks within edits.
    """

    reasoning: Mark
    revision: Mark
    end: Mark | None
    leaks: tuple[Mark, ...]
    nonce: str
    tag: str = ""


def mark(name: str, nonce: str) -> str:
    """Return one of our own marks."""
    return f"[[{name}:{nonce}]]"


def _own(names: str) -> Mark:
    return Mark(rf"\[\[(?:{names}):(?P<nonce>[0-9a-f]{{8}})\]\]")


def _published(*words: str) -> Mark:
    name = r"\\?_".join(words)
    return Mark(rf"\\?[{{\uff5b]{{1,2}}[ \t]*{name}[ \t]*\\?[}}\uff5d]{{1,2}}")


_NAMES = ("reasoning", "revision", "edits", "end", "[a-z-]+")
_REASONING, _REVISION, _EDITS, _END, _ANY = map(_own, _NAMES)
EDIT_PART = Mark(r"\[\[(?P<kind>find|to|replace):(?P<nonce>[0-9a-f]{2,8})\]\]")
"""The marks within a list of edits, told apart by the group `kind`."""
_PAPER_REASONING = _published("teacher", "reasoning")
_PAPER_REVISION = _published("corrected", "student", "solution")


def nonce_marks(nonce: str) -> ReplyMarks:
    """Return the marks of a reply that holds a whole revision."""
    return ReplyMarks(_REASONING, _REVISION, _END, (_ANY,), nonce)


def edits_marks(nonce: str, tag: str) -> ReplyMarks:
    """Return the marks of a reply that holds edits."""
    return ReplyMarks(_REASONING, _EDITS, _END, (_ANY,), nonce, tag)


def paper_marks(nonce: str) -> ReplyMarks:
    """Return the published reply marks; `nonce` is that of the request's own marks."""
    leaks = (_PAPER_REASONING, _PAPER_REVISION, _ANY)
    return ReplyMarks(_PAPER_REASONING, _PAPER_REVISION, None, leaks, nonce)


def make_nonce(key: str, texts: Iterable[str]) -> str:
    """Return the nonce of a row: eight hex digits from its key that stand in none of `texts`."""
    held = list(texts)
    candidates = (digest([key, number])[:8] for number in count())
    return next(nonce for nonce in candidates if not any(nonce in text for text in held))


def make_tag(nonce: str, texts: Iterable[str]) -> str:
    """Return the shortest beginning of a nonce that does as nonce of the marks within edits.

    These marks come with every edit, and two digits take fewer tokens than eight. What is asked
    for is less, too: that no mark with the tag stands in any of `texts`.
    """
    held = list(texts)
    tags = (nonce[:size] for size in range(2, len(nonce)))
    return next((tag for tag in tags if not any(f":{tag}]]" in text for text in held)), nonce)


def delimit_conversation(messages: Iterable[Message], nonce: str) -> str:
    """Return the messages, each behind a mark with its role, and an end mark."""
    turns = [f"{mark(turn['role'], nonce)}\n{turn['content']}" for turn in messages]
    return "\n".join([*turns, mark("conversation-end", nonce)])


def delimit_answer(answer: str, nonce: str) -> str:
    """Return the answer between two marks."""
    return f"{mark('answer', nonce)}\n{answer}\n{mark('answer-end', nonce)}"
