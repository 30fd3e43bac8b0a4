"""Lay out the figures of an evaluation: forest plot, guards, seeds, what each figure rests on."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from clairkit.charts.forest import forest_axis, forest_row, forest_scale
from clairkit.charts.scale import Scale, number
from clairkit.markup import Markup
from clairkit.records.json_types import JsonObject
from clairkit.report.evaluated import Evaluated, Row
from clairkit.report.language import Language, count_text

_PERCENT = ("share", "points")
_NULLS = {"share": 0.5, "points": 0.0, "elo": 0.0}
_UNITS = ("share", "points", "score", "elo")
_FIGURES = ("n", "clusters", "estimate", "low", "high")


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value of a file is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value) and not isinstance(value, bool)


def unit_text(value: Any, unit: str) -> str:
    """Return a figure for reading: shares in per cent, changes with their sign."""
    if not is_number(value):
        return "-"
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit in ("share", "score"):
        return number(value)
    if unit == "points":
        return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return f"{'+' if value > 0 else ''}{number(value)}"


def forest_groups(evaluated: Evaluated, words: Language) -> list[JsonObject]:
    """Return the forest plot: a group for each unit, since one scale serves one unit."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for signal in evaluated.signals():
        if is_number(signal.get("estimate")):
            groups[str(signal.get("unit", "share"))].append(signal)
    order = sorted(
        groups,
        key=lambda unit: (unit not in _UNITS, _UNITS.index(unit) if unit in _UNITS else 0, unit),
    )
    return [_group(unit, groups[unit], words) for unit in order]


def _group(unit: str, signals: Sequence[Row], words: Language) -> JsonObject:
    factor = 100 if unit in _PERCENT else 1
    compared = [signal for signal in signals if signal.get("against") is not None]
    null = _NULLS.get(unit, 0.0 if compared else None) if compared else None
    if null is not None:
        null *= factor
    ends = [
        factor * s[k] for s in signals for k in ("estimate", "low", "high") if is_number(s.get(k))
    ]
    across = forest_scale(ends, null)
    title = words.say(f"unit_{unit}") if unit in _UNITS else words.say("unit_other", unit=unit)
    return {
        "title": title,
        "rows": [_row(signal, unit, across, null, words) for signal in signals],
        "axis": Markup(forest_axis(across, " %" if unit == "share" else "")),
    }


def _row(signal: Row, unit: str, across: Scale, null: float | None, words: Language) -> JsonObject:
    """Return what a row of the plot shows; `null`, in the scale's unit, is no difference."""
    factor = 100 if unit in _PERCENT else 1
    has_ends = is_number(signal.get("low")) and is_number(signal.get("high"))
    ends = (factor * signal["low"], factor * signal["high"]) if has_ends else None
    said = unit_text(signal["estimate"], unit)
    interval = (
        f"{unit_text(signal['low'], unit)} \N{EN DASH} {unit_text(signal['high'], unit)}"
        if has_ends
        else words.say("too_few")
    )
    own_null = null if signal.get("against") is not None else None
    drawing = forest_row(across, factor * signal["estimate"], ends, own_null)
    n = "n = " + count_text(signal["n"]) if is_number(signal.get("n")) else ""
    return forest_line(
        signal_name(signal, words), drawing, said, interval, n, pair_name(signal, words)
    )


def forest_line(
    name: str, drawing: str, estimate: str, interval: str = "", n: str = "", models: str = ""
) -> JsonObject:
    """Return what the template takes of a row of a forest plot.

    Args:
        name: of the row.
        drawing: the SVG of its interval.
        estimate: in words.
        interval: in words.
        n: how many it is of.
        models: whose they are.
    """
    return {
        "name": name,
        "models": models,
        "drawing": Markup(drawing),
        "estimate": estimate,
        "interval": interval,
        "n": n,
    }


def signal_name(signal: Row, words: Language) -> str:
    """Return what a signal is called, with the judge's or KPI's name where there is one."""
    kind, name = str(signal.get("signal")), str(signal.get("name") or "")
    known = words.signals.get(kind, kind)
    return f"{known}: {name}" if name else known


def pair_name(signal: Row, words: Language) -> str:
    """Return whom a figure is about."""
    model, other = str(signal.get("model")), signal.get("against")
    return model if other is None else words.say("against", model=model, other=str(other))


def rests_on(evaluated: Evaluated, words: Language) -> list[list[str]]:
    """Return a row a signal: clusters, method, notes, and the figures of its kind."""
    rows = []
    for signal in evaluated.signals():
        notes, details = signal.get("notes"), signal.get("details")
        figures = details.items() if isinstance(details, Mapping) else ()
        told = [f"{name} {_value(value)}" for name, value in figures if value is not None]
        rows.append(
            [
                f"{signal_name(signal, words)} · {pair_name(signal, words)}",
                _value(signal.get("n")),
                _value(signal.get("clusters")),
                words.phrase(str(signal.get("method") or "")),
                "; ".join(words.phrase(str(note)) for note in notes or ()),
                ", ".join(told),
            ]
        )
    return rows


def _value(value: Any) -> str:
    if is_number(value):
        return count_text(value) if isinstance(value, int) else number(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def guard_rows(evaluated: Evaluated, words: Language) -> list[list[str]]:
    rows = []
    for guard in evaluated.rows("guards"):
        unit, status = str(guard.get("unit", "share")), str(guard.get("status"))
        shown = "points" if unit in _PERCENT else unit
        margin = guard.get("margin")
        rows.append(
            [
                str(guard.get("name")),
                str(guard.get("model")),
                words.words.get(status, status)
                if status in ("holds", "violated", "undecided")
                else status,
                unit_text(guard.get("estimate"), shown),
                unit_text(guard.get("lower"), shown),
                unit_text(-margin if is_number(margin) else None, shown),
                _value(guard.get("n")),
            ]
        )
    return rows


def seed_groups(evaluated: Evaluated, words: Language) -> list[JsonObject]:
    """Return a plot for each signal over training seeds whose means are known."""
    groups = []
    for signal in evaluated.signals():
        details = signal.get("details")
        means = details.get("means") if isinstance(details, Mapping) else None
        if signal.get("signal") != "seeds" or not means:
            continue
        named = (
            means
            if isinstance(means, Mapping)
            else {words.say("seed", n=at): mean for at, mean in enumerate(means, 1)}
        )
        found = {str(name): mean for name, mean in named.items() if is_number(mean)}
        if found:
            groups.append(_seeds(signal, found, words))
    return groups


def _seeds(signal: Row, means: Mapping[str, float], words: Language) -> JsonObject:
    unit = str(signal.get("unit", "points"))
    factor = 100 if unit in _PERCENT else 1
    null = factor * _NULLS.get(unit, 0.0)
    across = forest_scale([factor * mean for mean in means.values()], null)
    deviation = signal["details"].get("deviation")
    said = {"low": min(means.values()), "high": max(means.values()), "mean": signal.get("estimate")}
    return {
        "title": words.say("seeds", pair=pair_name(signal, words)),
        "note": words.say(
            "seeds_note",
            **{name: unit_text(value, unit) for name, value in said.items()},
            deviation=unit_text(deviation, unit).lstrip("+"),
        ),
        "rows": [
            forest_line(name, forest_row(across, factor * mean, None, null), unit_text(mean, unit))
            for name, mean in means.items()
        ],
        "axis": Markup(forest_axis(across, " %" if unit == "share" else "")),
    }
