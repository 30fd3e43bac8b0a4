"""Hold what the gates look at: a revision beside its answer and prompt, code and prose apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from clairkit.records import Message
from clairkit.records.fences import read_lines

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
    for line in read_lines(text, _FENCE):
        if line.kind == "close":
            blocks.append("\n".join(inside))
            inside = []
        elif line.kind != "open":
            (inside if line.kind == "code" else outside).append(line.text)
    return Fences(tuple(blocks), "\n".join(outside), line.kind in ("open", "code"))


def without_code(text: str) -> str:
    """Return `text` without fenced blocks and code spans."""
    return _CODE_SPAN.sub(" ", read_fences(text).prose)


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
