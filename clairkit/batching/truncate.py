"""Cut the responses of a pair that is too long.

Only ends are ever cut: what is left of a response is how it began. So the log-probs of its tokens
under the reference are those computed for the whole response, whatever max_length was then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clairkit.scoring import align

CONTEXT = 16
"""Shared tokens that edit_window keeps after the last edit, where there is room for them."""


@dataclass(frozen=True)
class Cut:
    """How many tokens each response keeps.

    `end_dropped` tells that one response fitted and lost its end token all the same,
    `edits_cut` that an edit, or a part of one, was cut off (known for edit_window alone).
    """

    chosen: int
    rejected: int
    end_dropped: bool = False
    edits_cut: bool = False


def keep_start(chosen_ids: Sequence[int], rejected_ids: Sequence[int], room: int) -> Cut | None:
    """Cut each response at `room` tokens; None when one has nothing left.

    When just one of them is cut, the other one's end token goes, too: an end of turn on one side
    alone would be what tells the sides apart, and the model would learn when to stop from it.
    """
    return _symmetric(chosen_ids, rejected_ids, (room, room))


def edit_window(chosen_ids: Sequence[int], rejected_ids: Sequence[int], room: int) -> Cut | None:
    """Cut both responses after the last edit span that fits into `room` tokens on both sides.

    Up to `CONTEXT` tokens that both sides share after it are kept. Where the first span alone is
    longer than the room, both are cut there, within it. End tokens are treated as by `keep_start`.

    Returns:
        None when the edits begin beyond the room, or a response has nothing left.
    """
    if not (chosen_ids and rejected_ids):
        return keep_start(chosen_ids, rejected_ids, room)
    spans = align(rejected_ids, chosen_ids).spans
    fitting = sum(max(span.chosen_end, span.rejected_end) <= room for span in spans)
    if not fitting:
        begins_beyond = not spans or spans[0].chosen_start >= room  # where it begins on both sides
        window = None if begins_beyond else (room, room)
    else:
        last = spans[fitting - 1]
        following = spans[fitting].chosen_start if fitting < len(spans) else len(chosen_ids)
        shared = following - last.chosen_end
        context = min(CONTEXT, shared, room - max(last.chosen_end, last.rejected_end))
        window = last.chosen_end + context, last.rejected_end + context
    if window is None:
        return None
    return _symmetric(chosen_ids, rejected_ids, window, edits_cut=fitting < len(spans))


def _symmetric(
    chosen_ids: Sequence[int],
    rejected_ids: Sequence[int],
    window: tuple[int, int],
    *,
    edits_cut: bool = False,
) -> Cut | None:
    """Cut at `window`; if a response is cut and the other is whole, take the latter's end token."""
    sizes = len(chosen_ids), len(rejected_ids)
    kept = [min(size, end) for size, end in zip(sizes, window, strict=True)]
    whole = [side for side in (0, 1) if kept[side] == sizes[side] > 0]
    end_dropped = len(whole) == 1 and min(sizes) > 0
    if end_dropped:
        kept[whole[0]] -= 1
    if any(size and not left for size, left in zip(sizes, kept, strict=True)):
        return None
    return Cut(kept[0], kept[1], end_dropped, edits_cut)
