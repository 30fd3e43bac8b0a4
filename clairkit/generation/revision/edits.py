"""Read edits from a reply, check them against the answer, and apply all or none of them.

What no edit touches is carried over byte for byte. An edit whose place can't be told is never
guessed: it is a fault, and none of the edits is applied.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import regex

from clairkit.generation.revision.parser import INLINE, LEAK
from clairkit.models.markers import EDIT_PART, ReplyMarks
from clairkit.scoring.units import GRAPHEME

TEXT_BEFORE = "text_before_edit"
INCOMPLETE = "edit_incomplete"
OVERLAP = "overlap"

_CHARACTER = regex.compile(GRAPHEME)


@dataclass(frozen=True)
class Edit:
    """One edit: `answer[start:end]`, which is `old`, became `new`. Places count code points."""

    start: int
    end: int
    old: str
    new: str

    def to_json(self) -> dict[str, object]:
        """Return the edit as an object of a pair's provenance."""
        return {"start": self.start, "end": self.end, "old": self.old, "new": self.new}


@dataclass(frozen=True)
class EditFault:
    """Why a reply can't be used.

    Attributes:
        code: one of the `faults` in `texts/en.yaml`.
        number: of the edit, from 1; 0 where it is no edit's fault.
        quote: what the reviser wrote there.
        share: of the answer: what was changed, or what its length has become.
        limit: what that may be at most.
    """

    code: str
    number: int = 0
    quote: str = ""
    share: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True)
class Asked:
    """An edit as the reviser wrote it: a text to find, or the two ends of one, and the new text."""

    find: str
    to: str | None
    replace: str


@dataclass(frozen=True)
class Applied:
    """An answer with all edits applied, and the edits that changed it, in order of place."""

    text: str
    edits: tuple[Edit, ...]


def read_edits(body: str, marks: ReplyMarks) -> list[Asked] | EditFault:
    """Return the edits in what stands between the edits mark and the end mark.

    A text is the lines between its mark and the next, without the line break at its end.
    """
    nonces = (marks.tag, marks.nonce)
    parts = list(_parts(body.replace("\r\n", "\n").removesuffix("\n"), nonces))
    for _, text in parts:
        if EDIT_PART.find(text, *nonces):
            return EditFault(INLINE)
        if any(leak.find(text, marks.nonce) for leak in marks.leaks):
            return EditFault(LEAK)
    if parts[0][1].strip():
        return EditFault(TEXT_BEFORE)
    return _grouped(parts[1:])


def _parts(body: str, nonces: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the kind of each mark with the text behind it; first what is before all marks."""
    kind, lines = "", list[str]()
    for line in body.split("\n"):
        match = EDIT_PART.line(line, *nonces)
        if match is None:
            lines.append(line)
            continue
        yield kind, "\n".join(lines)
        kind, lines = match["kind"].lower(), [] if match["text"] is None else [match["text"]]
    yield kind, "\n".join(lines)


def _grouped(parts: Sequence[tuple[str, str]]) -> list[Asked] | EditFault:
    edits: list[Asked] = []
    at = 0
    while at < len(parts):
        kinds = [kind for kind, _ in parts[at : at + 3]]
        texts = [text for _, text in parts[at : at + 3]]
        if kinds[:2] == ["find", "replace"]:
            edits.append(Asked(texts[0], None, texts[1]))
            at += 2
        elif kinds == ["find", "to", "replace"]:
            edits.append(Asked(*texts))
            at += 3
        else:
            return EditFault(INCOMPLETE, len(edits) + 1)
    return edits


def apply_edits(answer: str, asked: Sequence[Asked]) -> Applied | tuple[EditFault, ...]:
    """Return the answer with all edits applied, or what is wrong with any of them.

    Each text to find has to stand in the answer, as it was before all edits, exactly once; the
    last words of a passage exactly once behind its first. `\\r\\n` and `\\n` count as the same
    line break, and new text gets the answer's own.
    """
    plain = answer.replace("\r\n", "\n")
    # Where the characters that a reader sees begin, and the end; None for everywhere.
    starts = None
    if not plain.isascii():
        starts = frozenset((*(found.start() for found in _CHARACTER.finditer(plain)), len(plain)))
    found = [_span(plain, starts, each, number) for number, each in enumerate(asked, 1)]
    faults = [each for each in found if isinstance(each, EditFault)]
    placed = [
        (span, number) for number, span in enumerate(found, 1) if not isinstance(span, EditFault)
    ]
    if not faults:
        placed.sort()
        faults = [
            EditFault(OVERLAP, number)
            for (before, _), (span, number) in pairwise(placed)
            if span[0] < before[1]
        ]
    if faults:
        return tuple(faults)
    return _applied(answer, [(span, asked[number - 1].replace) for span, number in placed])


def _span(
    plain: str, starts: frozenset[int] | None, asked: Asked, number: int
) -> tuple[int, int] | EditFault:
    """Return the place of an edit in the answer, its line breaks being `\\n`."""
    start = end = 0
    for name, text in (("find", asked.find), ("to", asked.to)):
        if text is None:
            continue
        if not text:
            return EditFault(f"{name}_empty", number)
        places = _places(plain, starts, text, end)
        if len(places) != 1:
            return EditFault(f"{name}_ambiguous" if places else f"{name}_missing", number, text)
        start = places[0] if name == "find" else start
        end = places[0] + len(text)
    return start, end


def _places(plain: str, starts: frozenset[int] | None, text: str, start: int) -> list[int]:
    """Return the first two places of a text, overlapping ones too, that cut no character apart."""
    found: list[int] = []
    at = plain.find(text, start)
    while at >= 0 and len(found) < 2:
        if starts is None or {at, at + len(text)} <= starts:
            found.append(at)
        at = plain.find(text, at + 1)
    return found


def _applied(answer: str, placed: Sequence[tuple[tuple[int, int], str]]) -> Applied:
    breaks = _own_places(answer)
    wide = 2 * len(breaks) > answer.count("\n")
    pieces: list[str] = []
    edits: list[Edit] = []
    done = 0
    for span, text in placed:
        # Each \r\n before a place was one code point shorter in the text that was searched.
        start, end = (place + bisect_left(breaks, place) for place in span)
        new = text.replace("\n", "\r\n") if wide else text
        edit = Edit(start, end, answer[start:end], new)
        pieces += [answer[done:start], new]
        done = end
        if edit.new != edit.old:
            edits.append(edit)
    return Applied("".join([*pieces, answer[done:]]), tuple(edits))


def _own_places(answer: str) -> list[int]:
    """Return the places of each `\\r\\n` in the answer when each is one code point long."""
    places: list[int] = []
    at = answer.find("\r\n")
    while at >= 0:
        places.append(at - len(places))
        at = answer.find("\r\n", at + 2)
    return places
