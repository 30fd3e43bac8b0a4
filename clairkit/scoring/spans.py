"""Find edit spans, the stretches in which two sides differ, and join those kept apart by chance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from clairkit.errors import DataError
from clairkit.scoring.blocks import Block, matching_blocks

_HIGHEST = 0x10FFFF
Unit = TypeVar("Unit")

TINY = 8
"""The most units of an equal stretch that may be chance; longer ones are always kept."""


@dataclass(frozen=True)
class EditSpan:
    """One stretch of difference: `rejected[start:end]` was replaced by `chosen[start:end]`.

    One of the two may be empty (an insertion or a deletion), never both. Positions count units.
    """

    rejected_start: int
    rejected_end: int
    chosen_start: int
    chosen_end: int

    @property
    def length(self) -> int:
        """Units deleted plus units inserted, at least 1."""
        return self.rejected_end - self.rejected_start + self.chosen_end - self.chosen_start

    def cut(self, rejected: Sequence[Unit], chosen: Sequence[Unit]) -> tuple[Sequence[Unit], ...]:
        """Return what was replaced, and what it became."""
        return (
            rejected[self.rejected_start : self.rejected_end],
            chosen[self.chosen_start : self.chosen_end],
        )


@dataclass(frozen=True)
class Alignment:
    """The edit spans of a pair, in order, and how they were found.

    Attributes:
        spans: the edit spans; everything outside of them is equal on both sides.
        common_prefix: units that both sides begin with.
        exact: the spans hold as few units as possible. False for very long sides (see
            `clairkit.scoring.blocks`): then they may hold some that could be shared.
    """

    spans: tuple[EditSpan, ...]
    common_prefix: int
    exact: bool

    @property
    def deleted(self) -> int:
        """Units of rejected that lie in edit spans."""
        return sum(span.rejected_end - span.rejected_start for span in self.spans)

    @property
    def inserted(self) -> int:
        """Units of chosen that lie in edit spans."""
        return sum(span.chosen_end - span.chosen_start for span in self.spans)


def align(rejected: Sequence[object], chosen: Sequence[object]) -> Alignment:
    """Return the edit spans that turn `rejected` into `chosen` by deleting and inserting units.

    The alignment is a longest common subsequence (Indel), not Levenshtein's: a substitution at
    cost 1 would rather pair unrelated units at the same place than keep equal ones, and only
    with Indel do edit shares and similarity count the same units. Among equally long common
    subsequences the choice does not depend on which side is called chosen.

    Args:
        rejected: units that are hashable and can be ordered (token ids, or texts).
        chosen: units of the same kind.

    Raises:
        DataError: there are more different units than Unicode has characters.
    """
    swapped = list(chosen) < list(rejected)
    first, second = _encoded(*((chosen, rejected) if swapped else (rejected, chosen)))
    blocks, exact = matching_blocks(first, second)
    prefix = blocks[0].size if blocks and blocks[0][:2] == (0, 0) else 0
    spans = tuple(_spans(blocks, len(first), len(second), swapped=swapped))
    return Alignment(spans, prefix, exact)


def _encoded(first: Sequence[object], second: Sequence[object]) -> tuple[str, str]:
    """Return both sequences with one character a unit, equal where the units are equal."""
    codes: dict[Any, int] = {}
    for unit in chain(first, second):
        codes.setdefault(unit, len(codes))
    if len(codes) > _HIGHEST:
        problem = f"a pair can have at most {_HIGHEST:,} different units"
        raise DataError(problem, received=len(codes), remedy="leave that row out")
    return "".join(chr(codes[unit]) for unit in first), "".join(chr(codes[u]) for u in second)


def _spans(blocks: list[Block], first: int, second: int, *, swapped: bool) -> Iterator[EditSpan]:
    at_first = at_second = 0
    for block in [*blocks, Block(first, second, 0)]:
        if block.first > at_first or block.second > at_second:
            ours, theirs = (at_first, block.first), (at_second, block.second)
            yield EditSpan(*theirs, *ours) if swapped else EditSpan(*ours, *theirs)
        at_first, at_second = block.first + block.size, block.second + block.size


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
