"""Match blocks of equal units in the same order in two sequences, exactly or nearly.

Sequences are strings with one character a unit; the characters mean nothing, only whether they
are equal does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from rapidfuzz.distance import Indel

EXACT_CELLS = 400_000_000
"""The largest product of two lengths that is aligned exactly: 0.2 s and 50 MB, about."""

_GRAM = 8  # units that an anchor is long; shorter ones occur by chance
_SLICE = (500, 4_000)  # fewest and most units of a slice


class Block(NamedTuple):
    """`size` equal units, from `first` in the first sequence and `second` in the second."""

    first: int
    second: int
    size: int


def matching_blocks(first: str, second: str) -> tuple[list[Block], bool]:
    """Return blocks of equal units, in order and merged, and whether they are the most there are.

    What both begin or end with is taken first. The rest is a longest common subsequence when
    the product of its lengths is at most `EXACT_CELLS`. Beyond that it is aligned twice, and the
    alignment that shares more is taken: slice by slice, both sides cut into as many slices; and
    cut at anchors first (runs of 8 units that occur once on each side, those on the longest
    increasing chain). Some units that could be shared may then be missed, none is invented.
    """
    head = common_prefix(first, second)
    tail = common_prefix(first[head:][::-1], second[head:][::-1])
    ours, theirs = first[head : len(first) - tail], second[head : len(second) - tail]
    exact = len(ours) * len(theirs) <= EXACT_CELLS
    inner = _exact(ours, theirs) if exact else _nearly(ours, theirs)
    blocks = [Block(0, 0, head)]
    blocks += (Block(head + block.first, head + block.second, block.size) for block in inner)
    blocks.append(Block(len(first) - tail, len(second) - tail, tail))
    return list(_merged(blocks)), exact


def common_prefix(first: str, second: str, at_first: int = 0, at_second: int = 0) -> int:
    """Return how many units both sequences have in common from a place on.

    The work goes with what they share, however long they are: it is asked at many places.

    Args:
        first: one sequence.
        second: the other.
        at_first: where to begin in the first.
        at_second: where to begin in the second.
    """
    most = min(len(first) - at_first, len(second) - at_second)

    def is_equal(low: int, high: int) -> bool:
        ours, theirs = first[at_first + low : at_first + high], at_second + low
        return ours == second[theirs : theirs + len(ours)]

    low, step = 0, _GRAM
    while low < most and is_equal(low, min(low + step, most)):
        low = min(low + step, most)
        step *= 2
    high = min(low + step, most)
    while low < high:
        middle = (low + high + 1) // 2
        if is_equal(low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _merged(blocks: list[Block]) -> Iterator[Block]:
    """Leave out empty blocks and join those that follow each other on both sides."""
    current = Block(0, 0, 0)
    for block in blocks:
        ends = (current.first + current.size, current.second + current.size)
        if ends == (block.first, block.second):
            current = current._replace(size=current.size + block.size)
        elif block.size:
            if current.size:
                yield current
            current = block
    if current.size:
        yield current


def _exact(first: str, second: str) -> Iterator[Block]:
    if not first or not second:
        return
    for code in Indel.opcodes(first, second):
        if code.tag == "equal":
            yield Block(code.src_start, code.dest_start, code.src_end - code.src_start)


def _nearly(first: str, second: str) -> list[Block]:
    low, high = _SLICE
    size = max(low, min(high, EXACT_CELLS // max(len(first), len(second))))
    sliced = list(_sliced(first, second, Block(0, 0, size), len(first), len(second)))
    anchors = _anchors(first, second)
    if not anchors:
        return sliced
    # Anchors follow text that was moved; where they lead astray (numbers that recur), slices win.
    anchored = list(_anchored(first, second, anchors, size))
    return max(anchored, sliced, key=lambda blocks: sum(block.size for block in blocks))


def _anchored(
    first: str, second: str, anchors: list[tuple[int, int]], size: int
) -> Iterator[Block]:
    done_first = done_second = 0
    for at_first, at_second in anchors:
        if at_first < done_first or at_second < done_second:
            continue
        yield from _sliced(first, second, Block(done_first, done_second, size), at_first, at_second)
        run = common_prefix(first, second, at_first, at_second)
        yield Block(at_first, at_second, run)
        done_first, done_second = at_first + run, at_second + run
    start = Block(done_first, done_second, size)
    yield from _sliced(first, second, start, len(first), len(second))


def _sliced(
    first: str, second: str, start: Block, end_first: int, end_second: int
) -> Iterator[Block]:
    """Align what lies between `start` and the ends, in slices of at most `start.size` units."""
    width, height = end_first - start.first, end_second - start.second
    if not width or not height:
        return
    count = -(-max(width, height) // start.size)
    for index in range(count):
        from_first = start.first + width * index // count
        from_second = start.second + height * index // count
        ours = first[from_first : start.first + width * (index + 1) // count]
        theirs = second[from_second : start.second + height * (index + 1) // count]
        for block in _exact(ours, theirs):
            yield Block(from_first + block.first, from_second + block.second, block.size)


def _anchors(first: str, second: str) -> list[tuple[int, int]]:
    """Return the places of shared unique runs, as the longest chain that rises on both sides."""
    theirs = _unique_runs(second)
    pairs = [(at, theirs[run]) for run, at in _unique_runs(first).items() if run in theirs]
    return _longest_rising(pairs)


def _unique_runs(text: str) -> dict[str, int]:
    """Return the place of each run of `_GRAM` units that occurs once, in order of place."""
    places: dict[str, int] = {}
    for at in range(len(text) - _GRAM + 1):
        run = text[at : at + _GRAM]
        places[run] = -1 if run in places else at
    return {run: at for run, at in places.items() if at >= 0}


def _longest_rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest subsequence of `pairs` (rising in the first) that rises in the second."""
    ends: list[int] = []  # the smallest last value of a chain of each length
    holders: list[int] = []  # which pair that is
    before: list[int] = []
    for index, (_, value) in enumerate(pairs):
        length = bisect_left(ends, value)
        before.append(holders[length - 1] if length else -1)
        if length == len(ends):
            ends.append(value)
            holders.append(index)
        else:
            ends[length], holders[length] = value, index
    chain = []
    at = holders[-1] if holders else -1
    while at >= 0:
        chain.append(pairs[at])
        at = before[at]
    return chain[::-1]
