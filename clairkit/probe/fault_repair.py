"""Tell what a revision made of a planted fault, and of the text around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from clairkit.probe.fault_injection import (
    CODE,
    NEGATION,
    NUMBER,
    STEP,
    URL,
    PlantedFault,
    contains,
    content_words,
    items_in,
    numbers_in,
)
from clairkit.scoring import EditSpan, align, units_of

Repair = Literal["fixed", "changed", "missed"]
"""What is right is back · what is wrong is gone, but what was right is not back · still wrong."""

_STEP_SHARE = 0.3  # of the content words of a dropped step; a reviser has words of its own

_Units = Sequence[int | str]
_Spots = list[tuple[int, int]]


def repair(fault: PlantedFault, revision: str) -> Repair:
    """Return what a revision made of a fault. It looks at the text alone and knows no paraphrase.

    `fixed` and `missed` are certain; `changed` is a passage that was rewritten, right or wrong.
    """
    return _TESTS[fault.kind](fault, revision)


def collateral(fault: PlantedFault, revision: str) -> float:
    """Return how much of the text around a fault differs in a revision, in [0, 1].

    It is (d + i) / (a + b): of the a grapheme clusters of the text d are gone, of the b of the
    revision i are new. The word with the fault, and what stands in its place, count nowhere. The
    text is taken with the fault or without it, whichever is nearer: leaving all as it was is 0,
    and so is repairing nothing but the fault. The original must be good: else its other faults
    count, too.
    """
    original, planted = units_of(fault.original, None), units_of(fault.text, None)
    revised = units_of(revision, None)
    spots = align(original, planted).spans
    before = [(spot.rejected_start, spot.rejected_end) for spot in spots]
    after = [(spot.chosen_start, spot.chosen_end) for spot in spots]
    return min(
        _outside(original, revised, _whole_words(original, before)),
        _outside(planted, revised, _whole_words(planted, after)),
    )


def _whole_words(units: _Units, spots: _Spots) -> _Spots:
    """Return the spots up to the next white space, or character beyond ASCII, on either side."""
    whole: _Spots = []
    for start, end in spots:
        while start > 0 and _is_solid(units[start - 1]):
            start -= 1
        while end < len(units) and _is_solid(units[end]):
            end += 1
        if whole and start <= whole[-1][1]:
            start = min(start, whole.pop()[0])
        whole.append((start, end))
    return whole


def _is_solid(unit: int | str) -> bool:
    return isinstance(unit, str) and len(unit) == 1 and "!" <= unit <= "~"


def _outside(base: _Units, revised: _Units, spots: _Spots) -> float:
    """Return how much of two texts differs, spots and what stands in their place aside."""
    gone = new = replaced = gone_in_spots = 0
    for span in align(base, revised).spans:
        added = span.chosen_end - span.chosen_start
        if any(span.rejected_start <= end and start <= span.rejected_end for start, end in spots):
            replaced += added
        else:
            new += added
        within = _within(span, spots)
        gone_in_spots += within
        gone += span.rejected_end - span.rejected_start - within
    size = sum(end - start for start, end in spots)
    around = (len(base) - size) + (len(revised) - replaced - (size - gone_in_spots))
    return (gone + new) / around if around > 0 else 0.0


def _within(span: EditSpan, spots: _Spots) -> int:
    """Return how many of the units that a span deletes lie in spots."""
    overlaps = (
        min(end, span.rejected_end) - max(start, span.rejected_start) for start, end in spots
    )
    return sum(overlap for overlap in overlaps if overlap > 0)


def _of_number(fault: PlantedFault, revision: str) -> Repair:
    right, wrong = (next(iter(numbers_in(text))) for text in (fault.right, fault.wrong))
    held = numbers_in(revision)
    return _repair(is_wrong=held[wrong] > 0, is_right=held[right] > 0)


def _of_words(fault: PlantedFault, revision: str) -> Repair:
    is_wrong = contains(revision, fault.wrong) > 0
    return _repair(is_wrong=is_wrong, is_right=contains(revision, fault.right) > 0)


def _of_line(fault: PlantedFault, revision: str) -> Repair:
    lines = {"".join(line.split()) for line in revision.splitlines()}
    right, wrong = ("".join(text.split()) for text in (fault.right, fault.wrong))
    return _repair(is_wrong=wrong in lines, is_right=right in lines)


def _of_url(fault: PlantedFault, revision: str) -> Repair:
    return _repair(is_wrong=fault.wrong in revision, is_right=fault.right in revision)


def _of_step(fault: PlantedFault, revision: str) -> Repair:
    """Return `fixed` when there are more steps, and enough of the words that only it had."""
    wanted = content_words(fault.right) - content_words(fault.text)
    is_back = len(wanted & content_words(revision)) >= _STEP_SHARE * len(wanted)
    has_more = items_in(revision) > items_in(fault.text)
    if is_back and has_more:
        return "fixed"
    return "changed" if is_back or has_more else "missed"


def _repair(*, is_wrong: bool, is_right: bool) -> Repair:
    if is_wrong:
        return "missed"
    return "fixed" if is_right else "changed"


_TESTS: dict[str, Callable[[PlantedFault, str], Repair]] = {
    NUMBER: _of_number,
    NEGATION: _of_words,
    STEP: _of_step,
    CODE: _of_line,
    URL: _of_url,
}
