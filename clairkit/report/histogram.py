"""Draw a histogram as inline SVG, in the style of `clairkit.charts`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clairkit.charts.draw import HEIGHT, WIDTH, text
from clairkit.charts.scale import Scale, labels, round_step, ticks

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 38
_BINS = 24  # about
_TAIL = 0.99  # values beyond this quantile share the last bar where they would stretch the axis


@dataclass(frozen=True)
class Histogram:
    """A histogram to be drawn. `name` is unique in the page; `values` are sorted and finite."""

    name: str
    title: str
    description: str
    values: Sequence[float]
    median: float


def histogram(chart: Histogram) -> str:
    """Return the drawing; "" without values.

    Bars have round, equal widths. A last bar takes up the highest hundredth of the values when
    they would stretch the axis to more than twice its length; it is then labelled "≥".
    """
    if not chart.values:
        return ""
    low, high, width, open_ended = _range(chart.values)
    count = max(1, round((high - low) / width))
    bars = [0] * count
    for value in chart.values:
        bars[min(count - 1, max(0, math.floor((value - low) / width + 1e-9)))] += 1
    across = Scale(low, high, start=_LEFT, end=WIDTH - _RIGHT)
    up = Scale(0, max(bars), start=HEIGHT - _BOTTOM, end=_TOP)
    parts = _axes(across, up, open_ended=open_ended)
    for index, bar in enumerate(bars):
        if bar:
            parts.append(_bar(across, up, (low + index * width, width), bar))
    if low <= chart.median <= high:
        x = across(chart.median)
        parts.append(
            f'<line class="median" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" '
            f'y2="{HEIGHT - _BOTTOM}"/>'
        )
    name = text(chart.name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{text(chart.title)}</title>'
        f'<desc id="{name}-text">{text(chart.description)}</desc>{"".join(parts)}</svg>'
    )


def _range(values: Sequence[float]) -> tuple[float, float, float, bool]:
    """Return both ends, the width of a bar, and whether the last bar is open to the right."""
    low, high = values[0], values[-1]
    tail = values[int(_TAIL * (len(values) - 1))]
    open_ended = high - low > 2 * (tail - low) > 0
    top = tail if open_ended else high
    if all(isinstance(value, int) for value in (low, top)):
        width = max(1.0, round_step(max(1, top - low) / _BINS))
        width = math.ceil(width)
        start = math.floor(low / width) * width - (0.5 if width == 1 else 0)  # bars on the ticks
    else:
        width = (
            round_step((top - low) / _BINS) if top > low else round_step((abs(low) or 1) / _BINS)
        )
        start = math.floor(low / width + 1e-9) * width
    if low == high:  # one thin bar with some room, rather than a block
        room = 2 * width if low < 0 or start >= 2 * width else 0  # shares have no less than 0
        return start - room, start + 3 * width, width, False
    bars = math.floor((top - start) / width + 1e-9) + 1
    if isinstance(high, float) and not open_ended and start + (bars - 1) * width > high - 1e-9:
        bars = max(1, bars - 1)  # a value right at the end, such as a share of 1
    return start, start + bars * width, width, open_ended


def _axes(across: Scale, up: Scale, *, open_ended: bool) -> list[str]:
    counts = [value for value in ticks(0, up.high, 4) if value == round(value)]
    parts = []
    for value, label in zip(counts, labels(counts), strict=True):
        y = up(value)
        parts.append(
            f'<line class="grid" x1="{across.start:.1f}" y1="{y:.1f}" '
            f'x2="{across.end:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text x="{across.start - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        )
    places = ticks(across.low, across.high, 5)
    for value, label in zip(places, labels(places), strict=True):
        parts.append(
            f'<text x="{across(value):.1f}" y="{up.start + 17:.1f}" '
            f'text-anchor="middle">{label}</text>'
        )
    if open_ended:
        parts.append(
            f'<text x="{across.end:.1f}" y="{up.start + 33:.1f}" text-anchor="end">'
            f"≥ {labels([across.high])[0]}</text>"
        )
    return parts


def _bar(across: Scale, up: Scale, place: tuple[float, float], count: int) -> str:
    start, width = place
    left, right, top = across(start), across(start + width), up(count)
    return (
        f'<rect class="f0" x="{left + 0.5:.1f}" y="{top:.1f}" '
        f'width="{max(0.5, right - left - 1):.1f}" height="{up.start - top:.1f}"/>'
    )
