"""Find the code in Markdown, and whether its fences close."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
