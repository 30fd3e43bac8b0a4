"""Draw a heat map: a figure and its interval in each cell, the stronger the further from 0."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from clairkit.display import printable

_CELL, _HEIGHT, _LEFT, _TOP = 128, 52, 130, 26
_STRONGEST = 0.55  # of the fill: the text on it stays readable


@dataclass(frozen=True)
class HeatCell:
    """A cell of a heat map.

    Attributes:
        value: that decides the colour.
        text: the figure as people read it.
        below: a smaller line below it, such as its interval.
        is_marked: draw a frame around it.
    """

    value: float
    text: str
    below: str = ""
    is_marked: bool = False


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[HeatCell | None]],
    title: str,
) -> str:
    """Return the drawing; gains and losses have a colour each, and no cell says it by colour alone.

    Args:
        rows: name of each row.
        columns: name of each column.
        cells: by row and column; None where nothing was measured.
        title: what it shows, for those who can't see it.
    """
    largest = max((abs(each.value) for row in cells for each in row if each), default=0.0)
    parts = []
    for at, name in enumerate(columns):
        parts.append(_text(_LEFT + (at + 0.5) * _CELL, _TOP - 9, name, "middle"))
    for down, (name, row) in enumerate(zip(rows, cells, strict=True)):
        y = _TOP + down * _HEIGHT
        parts.append(_text(_LEFT - 10, y + _HEIGHT / 2 + 4, name, "end"))
        for at, each in enumerate(row):
            parts += _cell(each, _LEFT + at * _CELL, y, largest)
    width, height = _LEFT + len(columns) * _CELL + 4, _TOP + len(rows) * _HEIGHT + 4
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" {size} role="img" '
        f'aria-label="{_escaped(title)}">{"".join(parts)}</svg>'
    )


def _cell(cell: HeatCell | None, x: float, y: float, largest: float) -> list[str]:
    middle = x + _CELL / 2
    if cell is None:
        return [_text(middle, y + _HEIGHT / 2 + 4, "-", "middle")]
    strength = _STRONGEST * abs(cell.value) / largest if largest else 0.0
    box = f'x="{x + 2}" y="{y + 2}" width="{_CELL - 4}" height="{_HEIGHT - 4}" rx="4"'
    style = 2 if cell.value >= 0 else 1
    frame = f'<rect {box} class="bar s0" fill="none"/>' if cell.is_marked else ""
    return [
        f'<rect {box} class="f{style}" fill-opacity="{strength:.2f}"/>',
        frame,
        _text(middle, y + 23, cell.text, "middle", ' class="label"'),
        _text(middle, y + 39, cell.below, "middle"),
    ]


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    place = f'x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"'
    return f"<text {place}{more}>{_escaped(text)}</text>"


def _escaped(text: str) -> str:
    return html.escape(printable(text, keep=""), quote=True)
