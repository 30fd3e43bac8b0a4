"""Draw the rows of a forest plot: an estimate and its interval on a scale that all rows share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clairkit.charts import scale
from clairkit.charts.draw import rule, write
from clairkit.charts.scale import Scale

WIDTH, HEIGHT = 240, 20
_EDGE = 14  # px kept free on both sides, for half of a tick's label
_FLOOR = 6  # height of an axis' ticks


def forest_scale(values: Iterable[float], null: float | None = None) -> Scale:
    """Return the scale of rows: it holds all values, and the value of "no difference"."""
    low, high = scale.domain([*values, *([] if null is None else [null])])
    return Scale(low, high, start=_EDGE, end=WIDTH - _EDGE)


def forest_row(
    across: Scale, estimate: float, ends: tuple[float, float] | None, null: float | None = None
) -> str:
    """Return the drawing of one row; its figures stand beside it as text.

    Args:
        across: made by `forest_scale` of all rows' values.
        estimate: the mark.
        ends: of the interval; None draws the mark alone.
        null: where there is no difference; a line goes through all rows there.
    """
    middle = HEIGHT / 2
    parts = []
    if null is not None:
        parts.append(rule("null", (across(null), 0), (None, HEIGHT)))
    if ends is not None:
        parts.append(rule("bar s0", (across(ends[0]), middle), (across(ends[1]), None)))
    parts.append(f'<circle class="dot f0" cx="{across(estimate):.1f}" cy="{middle}" r="4"/>')
    return _svg(parts, HEIGHT)


def forest_axis(across: Scale, suffix: str = "") -> str:
    """Return the axis that stands below the rows; `suffix` is its unit, such as " %"."""
    values = scale.ticks(across.low, across.high, 4)
    parts = [rule("axis", (across.start, 0.5), (across.end, None))]
    for value, label in zip(values, scale.labels(values), strict=True):
        x = across(value)
        parts.append(rule("axis", (x, 0.5), (None, _FLOOR)))
        parts.append(write(x, _FLOOR + 12, f"{label}{suffix}", anchor="middle"))
    return _svg(parts, _FLOOR + 16)


def _svg(parts: Sequence[str], height: float) -> str:
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart strip" {size} aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )
