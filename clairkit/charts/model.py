"""Hold what a chart shows: series of points under a title."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float | None]
"""x and y; a y that is None or not finite was not measured, and interrupts the line."""


@dataclass(frozen=True)
class Series:
    """One quantity."""

    name: str  # its label, a word or two: it stands beside the line
    points: Sequence[Point]  # in order of x
    style: int = 0  # 0 to 5, picks colour and dashes; series that belong together may share one
    # Draw circles without a line, and no label: for the same quantity measured elsewhere
    marks: bool = False
    bars: Sequence[tuple[float, float, float]] = ()  # of marks: x and both ends of an interval


@dataclass(frozen=True)
class Chart:
    """A figure."""

    name: str  # unique in the page, of letters, digits and dashes; ids are made of it
    title: str  # one line
    description: str  # what can be seen, in a sentence or two, for those who can't see it
    series: Sequence[Series]  # what is drawn; stacked from below in an area chart
    x_label: str = ""  # what the horizontal axis counts
    baseline: float | None = None  # a value that is marked by a line across and always in view
    smooth: bool = False  # draw a line of many points thin and faint, and its running mean over it
    counts: bool = True  # x is a count, so that its axis has whole numbers alone


@dataclass(frozen=True)
class Histogram:
    """A histogram to be drawn. `name` is unique in the page; `values` are sorted and finite."""

    name: str
    title: str
    description: str
    values: Sequence[float]
    median: float


def measured(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Return the points that have a finite y."""
    return [(x, y) for x, y in points if y is not None and math.isfinite(y)]


def stretches(points: Sequence[Point], widest_gap: float) -> list[list[tuple[float, float]]]:
    """Cut a series where a value is missing, or x jumps by more than `widest_gap`."""
    found: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None or not math.isfinite(y):
            found.append([])
            continue
        if found[-1] and x - found[-1][-1][0] > widest_gap:
            found.append([])
        found[-1].append((x, y))
    return [stretch for stretch in found if stretch]


def thinned(points: Sequence[tuple[float, float]], limit: int) -> list[tuple[float, float]]:
    """Return about `limit` points: the lowest and highest of each bin in x, so that spikes stay.

    The first and the last point are always kept.
    """
    if len(points) <= limit:
        return list(points)
    bins = max(1, (limit - 2) // 2)
    first, last = points[0][0], points[-1][0]
    kept = {0, len(points) - 1}
    extremes: dict[int, tuple[int, int]] = {}
    for index, (x, y) in enumerate(points):
        place = min(bins - 1, int((x - first) / (last - first) * bins)) if last > first else 0
        low, high = extremes.get(place, (index, index))
        extremes[place] = (
            index if y < points[low][1] else low,
            index if y > points[high][1] else high,
        )
    kept.update(index for pair in extremes.values() for index in pair)
    return [points[index] for index in sorted(kept)]


def running_mean(points: Sequence[tuple[float, float]], reach: int) -> list[tuple[float, float]]:
    """Return each point's mean with up to `reach` neighbours on both sides; fewer at the ends.

    Both sides always have the same number, so that a straight line stays where it is.
    """
    sums = [0.0, *itertools.accumulate(y for _, y in points)]
    found = []
    for index, (x, _) in enumerate(points):
        near = min(reach, index, len(points) - 1 - index)
        found.append((x, (sums[index + near + 1] - sums[index - near]) / (2 * near + 1)))
    return found
