"""Merge edit spans that are kept apart only by units which both sides share by chance.

A longest common subsequence of two unrelated texts still holds a third to a half of their letters:
a unit here, two there. The clean-up gives such stretches to the edits around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clairkit.scoring.spans import EditSpan

TINY = 8
"""The most units of an equal stretch that may be chance; longer ones are always kept."""


def clean_up(spans: Iterable[EditSpan]) -> tuple[EditSpan, ...]:
    """Return `spans`, in order, with those joined that only tiny equal stretches keep apart.

    The rule: two spans become one, with all that lies between them, when no equal stretch between
    them has more than `TINY` units, and all of these together no more than either span, where a
    span counts the longer of its two sides. A joined span counts as one, so it may join further
    ones, until no two are left that join.

    Joining makes spans larger and leaves fewer equal units between them, so whatever could be
    joined before still can. The result therefore does not depend on the order of joining, nor on
    which side is called chosen, nor on reading forwards or backwards; and one more edit never
    keeps apart what was one. What both sides begin and end with stays.

    The idea (not the rule) is the "semantic clean-up" of Google's diff-match-patch.
    """
    done: list[_Seen] = []
    for span in spans:
        current = _Seen(span, len(done) - 1)
        while (first := _first_joined(done, current)) is not None:
            current = done[first].up_to(current.span)
            del done[first:]
        done.append(current)
    return tuple(each.span for each in done)


@dataclass
class _Seen:
    """A span, and how far to the left of it all spans are known not to be one with it."""

    span: EditSpan
    next: int
    """The place of the next span to the left to look at."""
    between: int = 0
    """Equal units between `span` and the one after `next`, that one's own left out."""

    def up_to(self, last: EditSpan) -> _Seen:
        """Itself and all up to `last` as one; what was looked at before stays so."""
        first = self.span
        whole = EditSpan(
            first.rejected_start, last.rejected_end, first.chosen_start, last.chosen_end
        )
        return _Seen(whole, self.next, self.between)


def _first_joined(done: Sequence[_Seen], last: _Seen) -> int | None:
    """The place of the first of the spans before `last` that becomes one with it, or None."""
    size, found = _size(last.span), None
    while last.next >= 0:
        before = done[last.next].span
        after = done[last.next + 1].span if last.next + 1 < len(done) else last.span
        between = last.between + after.chosen_start - before.chosen_end
        if between > size or between - last.between > TINY:
            break
        if between <= _size(before):
            found = last.next
        last.next, last.between = last.next - 1, between
    return found


def _size(span: EditSpan) -> int:
    return max(span.rejected_end - span.rejected_start, span.chosen_end - span.chosen_start)
