"""Draw a histogram as inline SVG, in the style of `clairkit.charts`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clairkit.charts.draw import HEIGHT, WIDTH, drawing, rule, write
from clairkit.charts.model import Histogram
from clairkit.charts.scale import Scale, labels, round_step, ticks

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 38
_BINS = 24  # about
_TAIL = 0.99  # values beyond this quantile share the last bar where they would stretch the axis


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
        parts.append(rule("median", (x, _TOP - 6), (None, HEIGHT - _BOTTOM)))
    return drawing(chart, parts)


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
        parts.append(rule("grid", (across.start, y), (across.end, None)))
        parts.append(write(across.start - 6, y + 4, label, anchor="end"))
    places = ticks(across.low, across.high, 5)
    for value, label in zip(places, labels(places), strict=True):
        parts.append(write(across(value), up.start + 17, label, anchor="middle"))
    if open_ended:
        most = f"≥ {labels([across.high])[0]}"
        parts.append(write(across.end, up.start + 33, most, anchor="end"))
    return parts


def _bar(across: Scale, up: Scale, place: tuple[float, float], count: int) -> str:
    start, width = place
    left, right, top = across(start), across(start + width), up(count)
    return (
        f'<rect class="f0" x="{left + 0.5:.1f}" y="{top:.1f}" '
        f'width="{max(0.5, right - left - 1):.1f}" height="{up.start - top:.1f}"/>'
    )
