"""Find edit spans: the stretches in which two sides differ, between what they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from clairkit.errors import DataError
from clairkit.scoring.blocks import Block, matching_blocks

_HIGHEST = 0x10FFFF


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
