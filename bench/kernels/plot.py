"""Time and memory against response length, as one SVG file that needs nothing else.

A pair of panels for every head, dtype and vocabulary that was measured. Both axes are logarithmic.
Lines differ in colour, dashes and marker, and carry their name at their end. Imports the standard
library alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from clairkit.bench.kernels.plot_style import (
    AXIS,
    FAINT,
    GRID,
    INK,
    LABELS,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    legend,
    mark,
    style_of,
)

_COLUMNS = 4  # groups side by side
_GAP_X, _GAP_Y, _LEFT, _GROUP_GAP = 14, 58, 54, 34
_MB = 1e6
_LABEL_STEP = 12  # pixels between two names


@dataclass
class Panel:
    """One diagram: lines by variant, each a list of (tokens, value)."""

    unit: str
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, name: str, tokens: float, value: float) -> None:
        """Add a point of a line."""
        self.lines.setdefault(name, []).append((tokens, max(value, 1e-6)))


@dataclass
class Group:
    """Two panels of the same head, dtype and vocabulary."""

    title: str
    time: Panel = field(default_factory=lambda: Panel("s"))
    memory: Panel = field(default_factory=lambda: Panel("MB"))


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis from `low` to `high` over `pixels`."""

    low: float
    high: float
    pixels: float

    @classmethod
    def over(cls, values: Iterable[float], pixels: float, padding: float) -> Scale:
        """Return the axis that holds `values` with a factor of `padding` on either side."""
        found = list(values)
        return cls(min(found) / padding, max(found) * padding, pixels)

    def __call__(self, value: float) -> float:
        """Return the pixels from the low end."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return share * self.pixels

    def ticks(self) -> list[float]:
        """Return round values inside: powers of ten, with 2 and 5 where there are few."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
            found = [step * 10.0**power for power in powers for step in steps]
            inside = [value for value in found if self.low <= value <= self.high]
            if len(inside) >= 3:
                break
        return inside


def draw(document: Mapping[str, Any]) -> str:
    """Return the SVG of a kernel suite's document."""
    groups = groups_of(document)
    names = list(
        dict.fromkeys(
            name for group in groups for panel in (group.time, group.memory) for name in panel.lines
        )
    )
    cell = _LEFT + PANEL_WIDTH + LABELS + _GAP_X
    per_row = min(_COLUMNS, max(len(groups), 1))
    width = max(per_row * cell + 2 * _GAP_X, 560)
    key, key_height = legend(names, 24, 66, width - 48)
    top = 66 + key_height + 18
    height_of_group = 2 * PANEL_HEIGHT + _GAP_Y + 72
    parts = [key]
    for index, group in enumerate(groups):
        x = _GAP_X + (index % per_row) * cell + _LEFT
        y = top + (index // per_row) * (height_of_group + _GROUP_GAP)
        parts.append(_group(group, x, y))
    rows = math.ceil(len(groups) / per_row)
    bottom = top + rows * (height_of_group + _GROUP_GAP)
    foot = _wrapped(_footer(document), int(width / 6.2))
    parts += [_text(24, bottom + 14 * i, line, 10.5, FAINT) for i, line in enumerate(foot)]
    return _frame(width, bottom + 14 * len(foot) + 10, parts, document)


def groups_of(document: Mapping[str, Any]) -> list[Group]:
    """Return the panels of a document: what was measured and passed its check, nothing else."""
    groups: dict[tuple[Any, ...], Group] = {}
    for point in document["points"]:
        case = point["case"]
        key = (case["vocabulary"], case["hidden"], case["head"], case["dtype"])
        title = "V={}, D={}\n{} head, {}".format(*key)
        group = groups.setdefault(key, Group(title))
        for count, bare in point["bare"].items():
            if bare["seconds"]:
                middle = sorted(bare["seconds"])[len(bare["seconds"]) // 2]
                group.time.add(f"bare {count} NVD", case["tokens"], middle)
        for result in point["results"]:
            if result["status"] != "ok":
                continue
            if result["time"]:
                group.time.add(result["variant"], case["tokens"], result["time"]["median"])
            if result["memory"]:
                size = result["memory"]["extra_bytes"] / _MB
                group.memory.add(result["variant"], case["tokens"], size)
    return [group for group in groups.values() if group.time.lines or group.memory.lines]


def _group(group: Group, x: float, y: float) -> str:
    first, second = group.title.split("\n")
    parts = [_text(x, y, first, 12.5, INK, bold=True), _text(x, y + 16, second, 12.5, INK)]
    parts.append(_panel(group.time, x, y + 42, "time, s"))
    parts.append(_panel(group.memory, x, y + 42 + PANEL_HEIGHT + _GAP_Y, "peak extra memory, MB"))
    return "".join(parts)


def _panel(panel: Panel, x: float, y: float, caption: str) -> str:
    if not panel.lines:
        return _text(x, y + 20, f"{caption}: nothing measured", 11, FAINT)
    points = [point for line in panel.lines.values() for point in line]
    across = Scale.over((tokens for tokens, _ in points), PANEL_WIDTH, 1.25)
    up = Scale.over((value for _, value in points), PANEL_HEIGHT, 1.35)
    parts = [f'<g transform="translate({x:.1f},{y:.1f})">', _text(0, -6, caption, 11, FAINT)]
    parts.append(_axes(across, up, sorted({tokens for tokens, _ in points})))
    for name, line in sorted(panel.lines.items(), key=lambda entry: style_of(entry[0]).order):
        parts.append(_line(name, sorted(line), across, up))
    parts.append(_names(panel, across, up))
    return "".join([*parts, "</g>"])


def _axes(across: Scale, up: Scale, tokens: Sequence[float]) -> str:
    parts = []
    for value in up.ticks():
        y = PANEL_HEIGHT - up(value)
        parts.append(f'<path d="M0 {y:.1f}H{PANEL_WIDTH}" stroke="{GRID}"/>')
        parts.append(_text(-7, y + 3.5, f"{value:,.10g}", 10.5, AXIS, anchor="end"))
    last = -math.inf
    for count in tokens:
        x = across(count)
        parts.append(f'<path d="M{x:.1f} 0V{PANEL_HEIGHT}" stroke="{GRID}"/>')
        if x - last >= 30:
            parts.append(_text(x, PANEL_HEIGHT + 15, f"{count:,.0f}", 10.5, AXIS, anchor="middle"))
            last = x
    parts.append(f'<path d="M0 0V{PANEL_HEIGHT}H{PANEL_WIDTH}" fill="none" stroke="{AXIS}"/>')
    parts.append(_text(PANEL_WIDTH, PANEL_HEIGHT + 28, "response tokens", 10, FAINT, anchor="end"))
    return "".join(parts)


def _line(name: str, line: Sequence[tuple[float, float]], across: Scale, up: Scale) -> str:
    style = style_of(name)
    places = [(across(tokens), PANEL_HEIGHT - up(value)) for tokens, value in line]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    drawn = (
        f'<path d="M{path}" fill="none" stroke="{style.colour}" stroke-width="{style.width}"'
        f' stroke-dasharray="{style.dashes}" stroke-linejoin="round"/>'
    )
    return drawn + "".join(mark(style, x, y) for x, y in places)


def _names(panel: Panel, across: Scale, up: Scale) -> str:
    """Write each line's name at its end, moved apart where they would overlap."""
    ends = {name: max(line) for name, line in panel.lines.items()}
    wanted = {name: PANEL_HEIGHT - up(value) for name, (_, value) in ends.items()}
    parts = []
    for name, y in spread(wanted, PANEL_HEIGHT).items():
        x, end = across(ends[name][0]), wanted[name]
        colour = style_of(name).colour
        parts.append(
            f'<path d="M{x + 6:.1f} {end:.1f}L{PANEL_WIDTH + 4} {y:.1f}" stroke="{colour}" '
            f'stroke-width="0.6" opacity="0.6"/>'
        )
        parts.append(_text(PANEL_WIDTH + 7, y + 3.5, name, 10.5, colour, bold=style_of(name).ours))
    return "".join(parts)


def spread(wanted: Mapping[str, float], height: float) -> dict[str, float]:
    """Return places near `wanted`, in the same order and _LABEL_STEP apart."""
    placed: dict[str, float] = {}
    last = -math.inf
    for name, y in sorted(wanted.items(), key=lambda entry: entry[1]):
        last = placed[name] = max(y, last + _LABEL_STEP)
    limit = height + _LABEL_STEP / 2
    for name in reversed(placed):
        placed[name] = limit = min(placed[name], limit)
        limit -= _LABEL_STEP
    return placed


def _footer(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    versions = ", ".join(f"{name} {found}" for name, found in machine["versions"].items() if found)
    lost = [
        f"{result['variant']} ({point['case']['name']}: {result['status']})"
        for point in document["points"]
        for result in point["results"]
        if result["status"] != "ok"
    ]
    absent = [f"{name} absent" for name in document["absent"]]
    device = machine["cpu"] if machine["device"] == "cpu" else machine["device"]
    text = f"{device}, {machine['threads']} threads; {versions}; commit {machine['commit']}."
    missing = "; ".join([*lost, *absent])
    return f"{text} Not shown: {missing}." if missing else text


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, break_on_hyphens=False)


def _frame(width: float, height: float, parts: Sequence[str], document: Mapping[str, Any]) -> str:
    title = "Head and preference loss: one forward and backward"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}" '
        f'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        + _text(24, 32, title, 17, INK, bold=True)
        + _text(24, 50, "lower is better; both axes logarithmic", 11.5, FAINT)
        + "".join(parts)
        + "</svg>\n"
    )


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    colour: str,
    *,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
    )
