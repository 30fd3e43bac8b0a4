"""How a variant's line looks, and the legend. No two lines differ in colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

PANEL_WIDTH, PANEL_HEIGHT, LABELS = 214, 196, 148
INK, AXIS, FAINT, GRID = "#1b1f24", "#57606a", "#6e7781", "#e7eaee"

# Marker outlines around (0, 0).
_SHAPES = {
    "circle": "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0Z",
    "square": "M-3.2 -3.2H3.2V3.2H-3.2Z",
    "up": "M0 -4.2L4 3.2H-4Z",
    "down": "M0 4.2L4 -3.2H-4Z",
    "diamond": "M0 -4.6L4.2 0L0 4.6L-4.2 0Z",
    "plus": "M-4 0H4M0 -4V4",
    "cross": "M-3.2 -3.2L3.2 3.2M-3.2 3.2L3.2 -3.2",
    "bar": "M-4.5 0H4.5",
}


@dataclass(frozen=True)
class Style:
    """A line's look; `order` is when it is drawn, the last on top."""

    colour: str
    shape: str
    dashes: str = "none"
    width: float = 1.7
    hollow: bool = False
    order: int = 1
    ours: bool = False


_STYLES = {
    "clairkit auto": Style("#0b5fa5", "circle", width=2.8, order=9, ours=True),
    "clairkit auto kept": Style("#0b5fa5", "diamond", "7 3", 2.2, order=8, ours=True),
    "clairkit auto recomputed": Style("#0b5fa5", "cross", "2 3", 2.0, order=8, ours=True),
    "clairkit torch": Style("#3d8fd1", "circle", "3 3", hollow=True, order=7, ours=True),
    "clairkit native": Style("#3d8fd1", "square", "3 3", hollow=True, order=7, ours=True),
    "clairkit triton": Style("#3d8fd1", "up", "3 3", hollow=True, order=7, ours=True),
    "eager": Style("#3b3f45", "square", "6 3"),
    "trl": Style("#c2410c", "up"),
    "liger dpo": Style("#a16207", "diamond", "8 3 2 3"),
    "liger ce": Style("#a16207", "square", "2 2", hollow=True),
    "liger scaled ce": Style("#a16207", "up", "5 2", hollow=True),
    "cce": Style("#0f7b5f", "down"),
    "torch compiled": Style("#a4478a", "plus", "4 2"),
    "quack": Style("#5b4bb5", "cross", "6 2"),
}
_BARE = Style("#8c959f", "bar", "1.5 3", 1.8, order=0)
_OTHER = Style("#57606a", "cross", "2 4")


def style_of(name: str) -> Style:
    """Return how a line of that name looks."""
    return _BARE if name.startswith("bare") else _STYLES.get(name, _OTHER)


def mark(style: Style, x: float, y: float) -> str:
    """Return a marker at (x, y)."""
    fill = "#ffffff" if style.hollow else style.colour
    return (
        f'<path transform="translate({x:.1f},{y:.1f})" d="{_SHAPES[style.shape]}" '
        f'fill="{fill}" stroke="{style.colour}" stroke-width="1.5"/>'
    )


def legend(names: Sequence[str], x: float, y: float, width: float) -> tuple[str, float]:
    """Return (the legend, its height): a sample of each line with its name."""
    parts, left, row = [], 0.0, 0
    for name in sorted(names, key=lambda name: -style_of(name).order):
        needed = 46 + 6.4 * len(name) + 18
        if left and left + needed > width:
            left, row = 0.0, row + 1
        style, top = style_of(name), y + 20 * row + 8
        parts.append(
            f'<path d="M{x + left:.1f} {top:.1f}h36" stroke="{style.colour}" fill="none" '
            f'stroke-width="{style.width}" stroke-dasharray="{style.dashes}"/>'
            + mark(style, x + left + 18, top)
            + f'<text x="{x + left + 42:.1f}" y="{top + 4:.1f}" font-size="12" '
            f'fill="{INK}">{escape(name)}</text>'
        )
        left += needed
    return "".join(parts), 20.0 * (row + 1)
