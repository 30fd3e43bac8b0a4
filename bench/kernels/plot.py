"""Draw time and memory against response length as one SVG, by matplotlib.

A column of two panels for every head, dtype and vocabulary that was measured. Both axes are
logarithmic, and no two lines differ in colour alone.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clairkit.bench.kernels.report import MB
from clairkit.bench.measure.timing import Spread
from clairkit.bench.results import Json, versions_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE = "Head and preference loss: one forward and backward (lower is better)"
_FAMILIES = ("clairkit", "eager", "trl", "liger", "cce", "torch", "quack")
_MARKERS, _DASHES = "osD^vPX*<>phd8", ("-", "--", "-.", ":")
_INCHES = 4.2, 3.2  # of a panel


@dataclass
class Group:
    """What was measured of one head, dtype and vocabulary: by variant, its value by tokens."""

    title: str
    time: dict[str, dict[int, float]] = field(default_factory=dict)  # seconds
    memory: dict[str, dict[int, float]] = field(default_factory=dict)  # MB


def groups_of(document: Json) -> list[Group]:
    """Return the panels of a document: what was measured and passed its check, nothing else."""
    groups: dict[tuple[object, ...], Group] = {}
    for point in document["points"]:
        case = point["case"]
        key, tokens = (
            (case["vocabulary"], case["hidden"], case["head"], case["dtype"]),
            case["tokens"],
        )
        group = groups.setdefault(key, Group("V={}, D={}\n{} head, {}".format(*key)))
        for count, bare in point["bare"].items():
            if bare["seconds"]:
                line = group.time.setdefault(f"bare {count} NVD", {})
                line[tokens] = Spread.of(bare["seconds"]).median
        for result in point["results"]:
            name, sound = result["variant"], result["status"] == "ok"
            if sound and result["time"]:
                group.time.setdefault(name, {})[tokens] = result["time"]["median"]
            if sound and result["memory"]:
                size = max(result["memory"]["extra_bytes"] / MB, 1e-6)
                group.memory.setdefault(name, {})[tokens] = size
    return [group for group in groups.values() if group.time or group.memory]


def draw(document: Json) -> bytes:
    """Return the SVG of a kernel suite's document; the same one for the same document."""
    import matplotlib
    from matplotlib.figure import Figure

    groups = groups_of(document)
    names = list(dict.fromkeys(name for group in groups for name in (*group.time, *group.memory)))
    looks = {name: look(name, names) for name in names}
    columns = max(len(groups), 1)
    # Text stays text; without a salt and with a date no two files would be the same.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "clairkit"}):
        figure = Figure((_INCHES[0] * max(columns, 2) + 2, 2 * _INCHES[1]), layout="constrained")
        figure.suptitle(_TITLE)
        panels = figure.subplots(2, columns, squeeze=False)
        for column, group in enumerate(groups):
            panels[0][column].set_title(group.title)
            _panel(panels[0][column], group.time, looks, "time, s")
            _panel(panels[1][column], group.memory, looks, "peak extra memory, MB")
        lines = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
        if lines:
            figure.legend(list(lines.values()), list(lines), loc="outside right upper")
        figure.supxlabel(
            textwrap.fill(footer(document), 60 * max(columns, 2), break_on_hyphens=False),
            fontsize=7,
        )
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _panel(axes: Axes, lines: Mapping[str, Mapping[int, float]], looks: Json, unit: str) -> None:
    for name, line in lines.items():
        tokens = sorted(line)
        axes.plot(tokens, [line[count] for count in tokens], label=name, **looks[name])
    axes.set(xscale="log", yscale="log", ylabel=unit, xlabel="response tokens")
    found = sorted({count for line in lines.values() for count in line})
    axes.set_xticks(found, [f"{count:,}" for count in found], minor=False)
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)


def look(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Return colour, marker and dashes of a line: a colour a library, a marker a variant."""
    family = name.split(" ")[0]
    if family == "bare":
        return {"color": "0.6", "linestyle": ":", "marker": "_"}
    others = [one for one in names if not one.startswith("bare")]
    place = [one for one in others if one.split(" ")[0] == family].index(name)
    colour = _FAMILIES.index(family) if family in _FAMILIES else len(_FAMILIES)
    return {
        "color": f"C{colour}",
        "marker": _MARKERS[others.index(name) % len(_MARKERS)],
        "linestyle": _DASHES[place % len(_DASHES)],
        "linewidth": 2.4 if family == "clairkit" else 1.3,
        "markersize": 4,
    }


def footer(document: Json) -> str:
    """Return the machine and the versions, and what is not shown."""
    machine = document["machine"]
    lost = [
        f"{result['variant']} ({point['case']['name']}: {result['status']})"
        for point in document["points"]
        for result in point["results"]
        if result["status"] != "ok"
    ]
    missing = "; ".join([*lost, *(f"{name} absent" for name in document["absent"])])
    device = machine["cpu"] if machine["device"] == "cpu" else machine["device"]
    text = (
        f"{device}, {machine['threads']} threads; {versions_text(machine)}; "
        f"commit {machine['commit']}."
    )
    return f"{text} Not shown: {missing}." if missing else text
