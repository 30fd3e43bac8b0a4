"""Compare two sides as one list of stretches: equal, deleted, inserted, equal, deleted, inserted, …

Units are what a reader takes in at once: words, runs of katakana, and single grapheme clusters in
scripts without spaces between words (kanji, hiragana, Thai).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import regex
from rapidfuzz.distance import Indel

from clairkit.scoring.blocks import EXACT_CELLS, matching_blocks
from clairkit.scoring.units import GRAPHEME

_ASCII = re.compile(r"\n|[^\S\n]+|\w+|[^\w\s]")
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTERS = rf"[[\p{{L}}\p{{N}}_]--[{_SPACELESS}\uff70\uff9e\uff9f]]"
_UNIT = regex.compile(
    r"\n|[^\S\n]+|[\p{Katakana}\u30fc\u3099\u309a\uff70\uff9e\uff9f]+"
    # joiners belong to words of Persian and of Indic scripts
    rf"|{_LETTERS}(?:{_LETTERS}|[\p{{M}}\u200c\u200d])*|{GRAPHEME}",
    regex.V1,
)


@dataclass(frozen=True)
class Diff:
    """The difference of two sides."""

    # In threes: an equal stretch, what rejected has after it, what chosen has instead. Equal and
    # rejected parts in order are rejected; equal and chosen parts are chosen.
    parts: tuple[str, ...]
    # Code points in edits, before tiny equal stretches were merged into them, over those of both
    # sides; 0 when both are empty
    changed_share: float


def diff(rejected: str, chosen: str) -> Diff:
    """Return what differs, in units that a reader takes in at once.

    An equal stretch within a line that is no longer than the edits on both sides of it is shown
    as changed: "quick" between two rewritten halves of a sentence says nothing was kept.
    """
    ours, theirs = units(rejected), units(chosen)
    threes = list(_threes(ours, theirs))
    changed = sum(len(gone) + len(new) for _, gone, new in threes)
    total = len(rejected) + len(chosen)
    merged = _merged(threes)
    return Diff(tuple(part for three in merged for part in three), changed / total if total else 0)


def units(text: str) -> list[str]:
    """Return the units of a text; put together, they are the text."""
    found: list[str] = _ASCII.findall(text) if text.isascii() else _UNIT.findall(text)
    return found


def _threes(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield what is equal, what ours has after it, and what theirs has instead."""
    codes = {unit: chr(at) for at, unit in enumerate(dict.fromkeys(chain(ours, theirs)))}
    first, second = ("".join(map(codes.__getitem__, side)) for side in (ours, theirs))
    start = at_first = at_second = 0
    for to_first, to_second, size in (*_shared(first, second), (len(ours), len(theirs), 0)):
        if to_first > at_first or to_second > at_second:
            yield (
                "".join(ours[start:at_first]),
                "".join(ours[at_first:to_first]),
                "".join(theirs[at_second:to_second]),
            )
            start = to_first
        at_first, at_second = to_first + size, to_second + size
    if start < at_first:
        yield "".join(ours[start:at_first]), "", ""


def _shared(first: str, second: str) -> Iterable[tuple[int, int, int]]:
    """Return what both have as `matching_blocks` does, for short texts without its detours."""
    if len(first) * len(second) > EXACT_CELLS:
        return matching_blocks(first, second)[0]
    codes = Indel.opcodes(first, second)
    return [
        (code.src_start, code.dest_start, code.src_end - code.src_start)
        for code in codes
        if code.tag == "equal"
    ]


def _merged(threes: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Join edits over equal stretches that are no longer than the edits on both sides of them."""
    equals: list[str] = []
    edits: list[tuple[list[str], list[str]]] = []  # joined once each: there may be very many
    gone_size = new_size = 0  # of the last edit
    for equal, gone, new in threes:
        reach, longer = max(gone_size, new_size), max(len(gone), len(new))
        if len(equal) <= min(reach, longer) and edits and "\n" not in equal:
            for texts, text in zip(edits[-1], (gone, new), strict=True):
                texts += [equal, text]
            gone_size += len(equal) + len(gone)
            new_size += len(equal) + len(new)
        else:
            equals.append(equal)
            edits.append(([gone], [new]))
            gone_size, new_size = len(gone), len(new)
    return [
        (equal, "".join(gone), "".join(new))
        for equal, (gone, new) in zip(equals, edits, strict=True)
    ]
