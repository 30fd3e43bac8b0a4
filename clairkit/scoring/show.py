"""Show one pair: found by its id, its sides as text, what is equal folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clairkit.display import excerpt
from clairkit.errors import DataError
from clairkit.records import Message, Pair
from clairkit.scoring.units import text_of, units_of

_NAMED = 3  # ids that an error names
_SLACK = 40  # characters: to leave out fewer would take as much room to say


def find_pair(pairs: Iterable[Pair], given: str) -> Pair:
    """Return the pair with this id, or the one whose id begins so.

    Args:
        pairs: read to the end, unless the whole id is met before.
        given: an id, or how it begins.

    Raises:
        DataError: no pair has it, or several begin so.
    """
    begin: dict[str, Pair] = {}
    seen: list[str] = []
    for pair in pairs:
        if pair.id == given:
            return pair
        if pair.id.startswith(given):
            begin[pair.id] = pair
        if len(seen) < _NAMED:
            seen.append(pair.id)
    if len(begin) == 1:
        return next(iter(begin.values()))
    named = ", ".join(excerpt(each, 40) for each in (list(begin)[:_NAMED] or seen))
    if begin:
        remedy = f"give more of it: {named}"
        raise DataError("several pairs' ids begin so", received=excerpt(given), remedy=remedy)
    remedy = f"its ids are {named}, …" if named else "look for it in another file"
    raise DataError("no pair has this id", received=excerpt(given), remedy=remedy)


def side_text(side: Sequence[Message]) -> str:
    """Return what a side says; where it is more than the assistant's turn, with its roles."""
    if [message["role"] for message in side] == ["assistant"]:
        return text_of(side)
    return "\n".join(f"{message['role']}: {message['content']}" for message in side)


def fold(text: str, keep: int, *, first: bool = False, last: bool = False) -> str:
    """Leave out the middle of a long text, and say how much.

    Args:
        text: the text.
        keep: grapheme clusters to keep at either end.
        first: nothing stands before it, so that its beginning can go.
        last: nothing stands after it, likewise.
    """
    head, tail = (0 if first else keep), (0 if last else keep)
    if len(text) <= head + tail + _SLACK:
        return text
    units = [str(unit) for unit in units_of(text, None)]
    left_out = len(units) - head - tail
    if left_out <= _SLACK:
        return text
    return (
        f"{''.join(units[:head])}[… {left_out:,} characters …]{''.join(units[len(units) - tail :])}"
    )
