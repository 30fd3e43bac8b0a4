"""Draw charts as SVG. Sizes are in px of a drawing 380 wide, about a column of a page."""

from __future__ import annotations

import html
import math
import re
import statistics
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from clairkit.charts import scale
from clairkit.charts.model import (
    Chart,
    Histogram,
    Point,
    Series,
    measured,
    running_mean,
    stretches,
    thinned,
)
from clairkit.charts.scale import Scale
from clairkit.display import printable

_LIGHT = ("#0067a5", "#c24e00", "#007a5a", "#8d3c8d", "#6b6f76", "#8a6d00")
_DARK = ("#6cb6ff", "#ff9d5c", "#3fd0a0", "#e08fe0", "#a9b0ba", "#e2c044")
_DASHES = ("none", "7 3", "2 3") * 2  # told apart within 0 to 2 and within 3 to 5

STYLES = len(_LIGHT)


def _variables(colours: tuple[str, ...]) -> str:
    return "".join(f"--s{index}:{colour};" for index, colour in enumerate(colours))


_LIGHT_PAGE = "--ink:#1b1f24;--soft:#57606a;--rule:#e3e6ea;--axis:#8c959f;--page:#fff;"
_DARK_PAGE = "--ink:#e6edf3;--soft:#a2abb6;--rule:#2a3038;--axis:#6e7781;--page:#0f1318;"

STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT_PAGE}{_variables(_LIGHT)}}}"
    "@media screen and (prefers-color-scheme:dark)"
    f"{{:root{{{_DARK_PAGE}{_variables(_DARK)}}}}}"
    ".chart{display:block;width:100%;height:auto;overflow:visible;"
    "font:12px system-ui,-apple-system,'Segoe UI',sans-serif;font-variant-numeric:tabular-nums}"
    ".chart text{fill:var(--soft)}"
    ".chart .grid{stroke:var(--rule);stroke-width:1}"
    ".chart .axis,.chart .base{stroke:var(--axis);stroke-width:1}"
    ".chart .base{stroke-dasharray:1 2}"
    ".chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:butt}"
    ".chart .raw{stroke-width:1;stroke-opacity:.38;stroke-dasharray:none}"
    ".chart .mark{fill:var(--page);stroke-width:1.6}"
    ".chart .dot{stroke:none}"
    ".chart .bar{stroke-width:1.6}"
    ".chart .null{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 2}"
    ".chart .area{stroke:var(--page);stroke-width:.7;fill-opacity:.82}"
    ".chart .label{font-weight:600}"
    + "".join(
        f".chart .s{index}{{stroke:var(--s{index});stroke-dasharray:{dashes}}}"
        f".chart .mark.s{index},.chart .bar.s{index}{{stroke-dasharray:none}}"
        f".chart .f{index}{{fill:var(--s{index})}}"
        f".chart text.t{index}{{fill:var(--s{index})}}"
        for index, dashes in enumerate(_DASHES)
    )
)


WIDTH, HEIGHT = 380, 236
_TOP, _BOTTOM = 10, 38
_LEFT, _RIGHT = 46, 96  # at least, so that the plots of a page line up
_GLYPH = 6.9  # width of a character of a label, on the generous side
_LINE = 14  # height of a line of labels
_SWATCH = 16
# A series is thinned to this many points: more than two a px can't be told apart.
POINTS = 800
# A jump in x of more than this many usual distances is a gap in the log, and no line crosses it.
_GAP = 3.0
# A line of fewer points shows its trend by itself.
_SMOOTHED = 60
_NOT_XML = re.compile("[\ufffe\uffff]")


def line_chart(chart: Chart) -> str:
    """Return a chart of lines and marks, labelled at their ends; "" when nothing was measured."""
    shown = [series for series in chart.series if measured(series.points)]
    if not shown:
        return ""
    points = [point for series in shown for point in measured(series.points)]
    held = [] if chart.baseline is None else [chart.baseline]
    held += [end for series in shown for bar in series.bars for end in bar[1:]]
    low, high = scale.domain([y for _, y in points] + held)
    across, up = _scales(shown, low, high)
    values = scale.ticks(up.low, up.high)
    parts = _axes(across, up, values, scale.labels(values), chart.x_label, counts=chart.counts)
    if chart.baseline is not None:
        parts.append(rule("base", (across.start, up(chart.baseline)), (across.end, None)))
    for series in shown:
        if not series.marks:
            parts += _lines(series, across, up, smooth=chart.smooth)
    parts += [mark for series in shown if series.marks for mark in _marks(series, across, up)]
    ends = {s.name: (s.style, up(_last(s.points, chart.smooth))) for s in shown if not s.marks}
    parts += _end_labels(ends, across.end, up, swatch=True)
    return drawing(chart, parts)


def area_chart(chart: Chart) -> str:
    """Return stacked areas of shares that add up to 1; "" when nothing was measured.

    The series have the same x; where one lacks a value there is a gap.
    """
    tops = _stacked(chart.series)
    if not tops or not measured(tops[-1]):
        return ""
    across, up = _scales(chart.series, 0.0, 1.0)
    shares = [0.0, 0.25, 0.5, 0.75, 1.0]
    parts = _axes(across, up, shares, ["0 %", "25 %", "50 %", "75 %", "100 %"], chart.x_label)
    below: list[Point] = [(x, None if y is None else 0.0) for x, y in tops[-1]]
    ends: dict[str, tuple[int, float]] = {}
    for series, top in zip(chart.series, tops, strict=True):
        parts += _areas(series.style, below, top, across, up)
        last, floor = measured(top)[-1][1], measured(below)[-1][1]
        ends[series.name] = series.style, up((last + floor) / 2)
        below = top
    parts += _end_labels(ends, across.end, up, swatch=False)
    return drawing(chart, parts)


def text(content: str) -> str:
    """Return a text for HTML and XML: characters that mean or hide something are spelt out."""
    return html.escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", printable(content, keep="")))


def drawing(chart: Chart | Histogram, parts: Sequence[str]) -> str:
    """Return the SVG of a chart's parts, with its title and description for those who can't see."""
    name = text(chart.name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{text(chart.title)}</title>'
        f'<desc id="{name}-text">{text(chart.description)}</desc>{"".join(parts)}</svg>'
    )


def rule(kind: str, start: tuple[float, float], end: tuple[float | None, float | None]) -> str:
    """Return a line; a coordinate of its end that is None is the start's."""
    x, y = (first if last is None else last for first, last in zip(start, end, strict=True))
    return (
        f'<line class="{kind}" x1="{start[0]:.2f}" y1="{start[1]:.2f}" x2="{x:.2f}" y2="{y:.2f}"/>'
    )


def write(x: float, y: float, content: str, *, anchor: str = "start", kind: str = "") -> str:
    kinds = f' class="{kind}"' if kind else ""
    place = f'x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}"'
    return f"<text{kinds} {place}>{text(content)}</text>"


def _stacked(series: Sequence[Series]) -> list[list[Point]]:
    """Return the upper edges of the layers; a layer is there only where all are."""
    tops: list[list[Point]] = [[] for _ in series]
    for column in zip(*(each.points for each in series), strict=True):
        shares = [share for _, share in measured(column)]
        sums: Sequence[float | None] = [None] * len(column)
        if len(shares) == len(column):
            sums = list(accumulate(shares))
        for top, (x, _), share in zip(tops, column, sums, strict=True):
            top.append((x, share))
    return tops


def _scales(series: Sequence[Series], low: float, high: float) -> tuple[Scale, Scale]:
    """Leave room for the labels at both sides."""
    names = [item.name for item in series if not item.marks]
    right = max(_RIGHT, _SWATCH + 8 + _GLYPH * max(map(len, names), default=0))
    ticks = scale.labels(scale.ticks(low, high)) if (low, high) != (0.0, 1.0) else ["100 %"]
    left = max(_LEFT, 10 + _GLYPH * max(map(len, ticks)))
    # the points may be of marks alone
    xs = [x for item in series for x, _ in measured(item.points)]
    ends = (min(xs), max(xs)) if min(xs) < max(xs) else scale.domain(xs)
    across = Scale(*ends, start=left, end=WIDTH - min(right, WIDTH / 2.5))
    return across, Scale(low, high, start=HEIGHT - _BOTTOM, end=_TOP)


def _axes(
    across: Scale,
    up: Scale,
    values: Sequence[float],
    labels: Sequence[str],
    x_label: str,
    *,
    counts: bool = True,
) -> list[str]:
    parts = []
    for value, label in zip(values, labels, strict=True):
        y = up(value)
        parts.append(rule("grid", (across.start, y), (across.end, None)))
        parts.append(write(across.start - 6, y + 4, label, anchor="end"))
    floor = up.start
    parts.append(rule("axis", (across.start, floor), (across.end, None)))
    places = (scale.whole_ticks if counts else scale.ticks)(across.low, across.high)
    for value, label in zip(places, scale.labels(places), strict=True):
        x = across(value)
        parts.append(rule("axis", (x, floor), (None, floor + 4)))
        parts.append(write(x, floor + 17, label, anchor="middle"))
    if x_label:
        parts.append(write((across.start + across.end) / 2, floor + 33, x_label, anchor="middle"))
    return parts


def _lines(series: Series, across: Scale, up: Scale, *, smooth: bool) -> list[str]:
    style = series.style % STYLES
    found = _stretches(series.points)
    total = sum(map(len, found))
    parts = []
    for stretch in found:
        if len(stretch) == 1:
            (x, y), *_ = stretch
            parts.append(f'<circle class="dot f{style}" {_at(across(x), up(y))} r="2.2"/>')
            continue
        limit = max(4, POINTS * len(stretch) // total)
        reach = _reach(len(stretch)) if smooth else 0
        if reach:
            raw = _places(thinned(stretch, limit), across, up)
            parts.append(f'<polyline class="line s{style} raw" points="{raw}"/>')
        kept = thinned(running_mean(stretch, reach), limit)
        parts.append(f'<polyline class="line s{style}" points="{_places(kept, across, up)}"/>')
    return parts


def _reach(count: int) -> int:
    """Neighbours on each side of a running mean: a twentieth of the line in all, none in short."""
    return count // 40 if count >= _SMOOTHED else 0


def _last(points: Sequence[Point], smooth: bool) -> float:
    """Return where a line ends, without what its last point strays from those before."""
    found = [y for _, y in measured(points)]
    reach = _reach(len(found)) if smooth else 0
    return statistics.fmean(found[-1 - reach :])


def _marks(series: Series, across: Scale, up: Scale) -> list[str]:
    style = series.style % STYLES
    bars = [
        rule(f"bar s{style}", (across(x), up(low)), (None, up(high)))
        for x, low, high in series.bars
    ]
    return bars + [
        f'<circle class="mark s{style}" {_at(across(x), up(y))} r="3.4"/>'
        for x, y in thinned(measured(series.points), POINTS // 4)
    ]


def _areas(
    style: int, below: Sequence[Point], top: Sequence[Point], across: Scale, up: Scale
) -> list[str]:
    parts = []
    for lower, upper in zip(_stretches(below), _stretches(top), strict=True):
        limit = POINTS // 2
        edge = _places(thinned(upper, limit), across, up)
        back = _places(thinned(lower, limit)[::-1], across, up)
        parts.append(f'<polygon class="area f{style % STYLES}" points="{edge} {back}"/>')
    return parts


def _stretches(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    steps = [b[0] - a[0] for a, b in pairwise(points)]
    usual = statistics.median(steps) if steps else 0.0
    return stretches(points, _GAP * usual if usual > 0 else math.inf)


def _end_labels(
    ends: dict[str, tuple[int, float]], right: float, up: Scale, *, swatch: bool
) -> list[str]:
    parts = []
    order = sorted(ends, key=lambda name: ends[name][1])
    places = _apart([ends[name][1] for name in order], up.end + 4, up.start - 4)
    for name, y in zip(order, places, strict=True):
        style = ends[name][0] % STYLES
        x = right + 6
        if swatch:
            parts.append(rule(f"line s{style}", (x, y), (x + _SWATCH - 2, None)))
            x += _SWATCH + 2
        parts.append(write(x, y + 4, name, kind=f"label t{style}"))
    return parts


def _apart(places: Sequence[float], top: float, bottom: float) -> list[float]:
    """Move sorted places as little as simple pushing does, until they are a line apart."""
    result: list[float] = []
    for place in places:
        result.append(max(place, top, result[-1] + _LINE if result else top))
    for index in reversed(range(len(result))):
        limit = bottom if index == len(result) - 1 else result[index + 1] - _LINE
        result[index] = min(result[index], limit)
    return result


def _places(points: Iterable[tuple[float, float]], across: Scale, up: Scale) -> str:
    return " ".join(f"{across(x):.2f},{up(y):.2f}" for x, y in points)


def _at(x: float, y: float) -> str:
    return f'cx="{x:.2f}" cy="{y:.2f}"'
