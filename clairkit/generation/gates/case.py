"""Hold what the gates look at: a revision beside its answer and prompt, code and prose apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from clairkit.records import Message

_FENCE = re.compile(
    r"^[ \t>]*(?:[-*+][ \t]+|\d+[.)][ \t]+)?(?P<run>`{3,}|~{3,4}(?!~))(?P<info>[^`\n\r]*)\r?$"
)
_CODE_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)[^\n`]+\1(?!`)")


@dataclass(frozen=True)
class Fences:
    """The fenced blocks of a text. `prose` is what stands outside of them."""

    blocks: tuple[str, ...]
    prose: str
    is_open: bool


def read_fences(text: str) -> Fences:
    """Return the fenced blocks of `text`, as CommonMark reads them, lists and quotes included."""
    blocks: list[str] = []
    outside: list[str] = []
    inside: list[str] = []
    opening = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if not opening and match:
            opening = match["run"]
        elif opening and match and _closes(match, opening):
            blocks.append("\n".join(inside))
            inside, opening = [], ""
        else:
            (inside if opening else outside).append(line)
    return Fences(tuple(blocks), "\n".join(outside), bool(opening))


def without_code(text: str) -> str:
    """Return `text` without fenced blocks and code spans."""
    return _CODE_SPAN.sub(" ", read_fences(text).prose)


def _closes(match: re.Match[str], opening: str) -> bool:
    run = match["run"]
    return run[0] == opening[0] and len(run) >= len(opening) and not match["info"].strip()


@dataclass(frozen=True)
class GateCase:
    """One revision to be judged. `language` is what it must be in; None: that of the answer."""

    prompt: tuple[Message, ...]
    answer: str
    revision: str
    rationale: str | None = None
    language: str | None = None

    @cached_property
    def asked(self) -> str:
        """Return all turns of the prompt, each on lines of its own."""
        return "\n".join(turn["content"] for turn in self.prompt)

    @cached_property
    def known(self) -> str:
        """Return what the revision may draw on: the prompt, the answer, the rationale."""
        return "\n".join((self.asked, self.answer, self.rationale or ""))

    @cached_property
    def prose(self) -> str:
        """Return the revision without its code blocks and code spans."""
        return without_code(self.revision)


Check = Callable[[GateCase], str | None]
"""Returns what is wrong, safe to show, or None."""
