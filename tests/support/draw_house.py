"""Draw the rooms of the source as SVG, from the table that the layout test reads.

`make docs` writes `docs/architecture.svg` by it, and the table of rooms in CONTRIBUTING.md.
"""

from __future__ import annotations

import re
import textwrap
from html import escape

from house import COMMON, ROOMS, ROOT, Room

PICTURE = ROOT / "docs" / "architecture.svg"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"

# The first room of each floor, in the order of the table, and the floor's title.
FLOORS = {
    "quickstart": "The whole road, and what stands beside it",
    "generation": "Make pairs, train a model",
    "engine": "Ask models and keep every result; from text to numbers",
    "statistics": "Mathematics and the machine: these know nothing of pairs",
}
FOUNDATION = "Used by every room above but kernels"

WIDTH = 880
MARGIN = 12
GAP = 8
LABEL = 20
LINE = 15
MAX_LINES = 3
MOST_IN_A_ROW = 6
LETTER = 6.4  # px that a letter of 12 px takes in the fonts named below, on average and some more

_STYLE = """
text { font: 12px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }
.name { font-weight: 600; font-size: 13px }
.floor { fill: #57606a; font-size: 12px }
.room { fill: #eef4fc; stroke: #7a9cc6 }
.top { fill: #fdf3e3; stroke: #cfa45b }
.base { fill: #f2f2f2; stroke: #a8a8a8 }
.paper { fill: #ffffff }
"""


def picture() -> str:
    """Return the SVG: `cli` and `bench` above, the rooms by floor, what all use at the foot."""
    above = {
        "cli": Room("what you type: a file or a folder for each command; may import every room"),
        "bench": Room("time, memory and error, measured against other libraries"),
    }
    parts: list[str] = []
    y = _floor(parts, MARGIN, "Commands and measurements", above, "top")
    for title, rooms in floors():
        y = _floor(parts, y, title, rooms, "room")
    y = _floor(
        parts, y, FOUNDATION, {name: ROOMS[name] for name in ROOMS if name in COMMON}, "base"
    )
    height = y - GAP + MARGIN
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">\n'
        f'<title id="title">The rooms of clairkit: a room imports rooms after it only</title>\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>\n{body}\n</svg>\n'
    )


def floors() -> list[tuple[str, dict[str, Room]]]:
    """Return the rooms of each floor under its title, in the order of the table.

    Raises:
        ValueError: the table does not begin with the first floor's room.
    """
    found: list[tuple[str, dict[str, Room]]] = []
    for name, room in ROOMS.items():
        if name in FLOORS:
            found.append((FLOORS[name], {}))
        if not found:
            raise ValueError(f"{name} stands above the first floor")
        if name not in COMMON:
            found[-1][1][name] = room
    return found


def _floor(parts: list[str], y: int, title: str, rooms: dict[str, Room], kind: str) -> int:
    """Draw a floor from `y` on, in rows of much the same length; return where the next begins."""
    parts.append(f'<text class="floor" x="{MARGIN}" y="{y + 13}">{escape(title)}</text>')
    y += LABEL
    names = list(rooms)
    count = -(-len(names) // MOST_IN_A_ROW)
    for row in range(count):
        own = names[row * len(names) // count : (row + 1) * len(names) // count]
        width = (WIDTH - 2 * MARGIN - GAP * (len(own) - 1)) // len(own)
        texts = {name: _lines(rooms[name].does, width - 14) for name in own}
        height = 27 + LINE * max(map(len, texts.values()))
        for place, name in enumerate(own):
            x = MARGIN + place * (width + GAP)
            parts.append(
                f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>'
                f'<text class="name" x="{x + 8}" y="{y + 18}">{name}</text>'
                + "".join(
                    f'<text x="{x + 8}" y="{y + 34 + LINE * n}">{escape(line)}</text>'
                    for n, line in enumerate(texts[name])
                )
            )
        y += height + GAP
    return y


def _lines(text: str, width: float) -> list[str]:
    """Return a text cut into lines that fit.

    Raises:
        ValueError: there are too many of them.
    """
    lines = textwrap.wrap(text, int(width / LETTER), break_on_hyphens=False)
    if len(lines) > MAX_LINES:
        raise ValueError(f"too long for the picture: {text!r}")
    return lines


def room_table() -> str:
    """Return the table of rooms for CONTRIBUTING.md."""
    rows = ["| room | what it does | imports |", "|---|---|---|"]
    for name, room in ROOMS.items():
        imports = ", ".join(each for each in ROOMS if each in room.imports) or "-"
        rows.append(
            f"| `{name}` | {room.does} | {'any room below' if name in COMMON else imports} |"
        )
    return "\n".join(rows)


def contributing() -> str:
    """Return CONTRIBUTING.md with the table of rooms between its marks made anew."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    marks = r"(<!-- rooms: made by `make docs` -->\n).*?(<!-- end of rooms -->)"
    made, count = re.subn(
        marks, lambda found: f"{found[1]}{room_table()}\n{found[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"CONTRIBUTING.md must hold the marks of the table once, holds {count}")
    return made


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    CONTRIBUTING.write_text(contributing(), encoding="utf-8")
