"""Choose which pairs of a batch go through the model together: deterministic, by tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def fill_parts(sizes: Sequence[int], tokens: int | None) -> list[list[int]]:
    """Put items into few parts of at most `tokens` tokens: the largest first, where it fits first.

    An item of more than `tokens` tokens is a part of its own. The members of a part are in
    ascending order; the first part holds the largest item.
    """
    if tokens is None:
        return [list(range(len(sizes)))]
    parts: list[list[int]] = []
    room: list[int] = []
    for item in _largest_first(sizes):
        place = next((i for i, left in enumerate(room) if sizes[item] <= left), len(parts))
        if place == len(parts):
            parts.append([])
            room.append(tokens)
        parts[place].append(item)
        room[place] -= sizes[item]
    return [sorted(part) for part in parts]


def balance_parts(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Put items into exactly min(count, items) parts: the largest first, where the least is."""
    parts: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    load = [0] * len(parts)
    for item in _largest_first(sizes):
        # an empty part first, so that none is left without an item
        place = min(range(len(parts)), key=lambda i: (bool(parts[i]), load[i], i))
        parts[place].append(item)
        load[place] += sizes[item]
    return [sorted(part) for part in parts]


def fill_rows(lengths: Sequence[int], tokens: int | None) -> list[list[int]]:
    """As `fill_parts` for padded parts, in which every item is as long as the longest."""
    if tokens is None:
        return [list(range(len(lengths)))]
    return [sorted(part) for part in _runs(lengths, tokens)]


def balance_rows(lengths: Sequence[int], count: int) -> list[list[int]]:
    """As `balance_parts` for padded parts: the largest part is as small as it can be."""
    count = min(count, len(lengths))
    all_in_one = len(lengths) * max(lengths)
    tokens = _least(lambda budget: len(_runs(lengths, budget)) <= count, all_in_one)
    parts = _runs(lengths, tokens)
    while len(parts) < count:  # halve the largest that can be
        place = max(
            range(len(parts)),
            key=lambda i: (len(parts[i]) > 1, len(parts[i]) * lengths[parts[i][0]]),
        )
        part = parts[place]
        parts[place : place + 1] = [part[: len(part) // 2], part[len(part) // 2 :]]
    return [sorted(part) for part in parts]


def _runs(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Cut the items, longest first, into runs; a run's first item says how long all are."""
    parts: list[list[int]] = []
    for item in _largest_first(lengths):
        if not parts or (len(parts[-1]) + 1) * lengths[parts[-1][0]] > tokens:
            parts.append([])
        parts[-1].append(item)
    return parts


def _least(holds: Callable[[int], bool], most: int) -> int:
    """Return the least number up to `most` for which `holds`, which stays true once it is."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _largest_first(sizes: Sequence[int]) -> list[int]:
    return sorted(range(len(sizes)), key=lambda item: (-sizes[item], item))
