"""Find the code fences of Markdown, as CommonMark reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

FENCE = re.compile(r"^ {0,3}(?P<run>`{3,}|~{3,})(?P<info>[^`\n\r]*)\r?$")
"""A line that opens or closes a fence."""


class Line(NamedTuple):
    """A line of a text, where it starts and ends, and what it is to the code fences."""

    text: str
    start: int
    end: int
    kind: Literal["prose", "open", "code", "close"]

    @property
    def is_inside(self) -> bool:
        """Whether a fence was open before it."""
        return self.kind in ("code", "close")


def read_lines(text: str, fence: re.Pattern[str] = FENCE) -> Iterator[Line]:
    """Yield the lines of a text; `fence` may allow more before a fence than `FENCE` does."""
    start, opening = 0, None
    for line in text.split("\n"):
        match = fence.match(line)
        kind: Literal["prose", "open", "code", "close"]
        if opening is None:
            kind, opening = "open" if match else "prose", match
        elif match and closes(match, opening):
            kind, opening = "close", None
        else:
            kind = "code"
        yield Line(line, start, start + len(line), kind)
        start += len(line) + 1


def closes(match: re.Match[str], opening: re.Match[str]) -> bool:
    """Return whether a line that could be a fence closes the one that is open."""
    return match["run"].startswith(opening["run"]) and not match["info"].strip()
