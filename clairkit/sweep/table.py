"""Lay the settings of a sweep out as a grid: sources by losses, as in the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clairkit.sweep.result import SettingResult, SweepResult
from clairkit.sweep.spec import shown_value

_HEAD = "loss"


@dataclass(frozen=True)
class Grid:
    """A grid as texts; the first column is the source, the last its contrastiveness."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str


@dataclass(frozen=True)
class Cell:
    """The settings of one source and one loss: the best of them, and how many there are."""

    best: SettingResult | None
    of: int
    others: str


def grid(found: SweepResult) -> Grid:
    """Return the change of each source and loss against the base, the best over other factors."""
    factor, values = column_factor(found)
    names = list(found.sources)
    rows = []
    for name in names:
        cells = [cell(found, name, factor, value) for value in values]
        contrast = found.sources[name].contrastiveness
        last = "" if contrast is None else f"{contrast:.2f}"
        rows.append([name or "pairs", *map(_text, cells), last])
    others = [key for key in found.spec.factors if key != factor and _is_varied(found, key)]
    best = f"each cell the best over {', '.join(others)}" if others else "each cell one setting"
    note = (
        f"Points of the {found.metric} against the base, with 95 % intervals over "
        f"{len(found.spec.seeds)} seeds and the prompts; {best}.\n"
        "Contrastiveness: the mean share of both sides that a pair has in common."
    )
    heads = [shown_value(value) for value in values] if factor else ["change"]
    return Grid("Change against the base", ["", *heads, "contrast"], rows, note)


def column_factor(found: SweepResult) -> tuple[str, Sequence[Any]]:
    """Return the factor of the columns: the loss, else the first that is varied; "" for none."""
    factors = found.spec.factors
    name = _HEAD if _HEAD in factors else next((k for k in factors if _is_varied(found, k)), "")
    return name, factors[name] if name else (None,)


def cell(found: SweepResult, source: str, factor: str, value: object) -> Cell:
    """Return the settings of a source and a value; the one measured longest is the best first."""
    inside = list(_inside(found, source, factor, value))
    best = max(inside, key=lambda each: (each.share, each.estimate.estimate), default=None)
    if best is None:
        return Cell(None, 0, "")
    others = {
        key: each
        for key, each in best.setting.values.items()
        if key != factor and _is_varied(found, key)
    }
    words = ", ".join(f"{key} {shown_value(each)}" for key, each in others.items())
    return Cell(best, len(inside), words)


def _inside(found: SweepResult, source: str, factor: str, value: object) -> Iterator[SettingResult]:
    for each in found.settings:
        if each.setting.pairs == source and (not factor or each.setting.values[factor] == value):
            yield each


def _is_varied(found: SweepResult, key: str) -> bool:
    return len(found.spec.factors[key]) > 1


def _text(cell: Cell) -> str:
    if cell.best is None:
        return "-"
    found = cell.best.estimate
    text = f"{100 * found.estimate:+.1f}"
    if found.interval is not None:
        text += f" [{100 * found.interval.low:+.1f}, {100 * found.interval.high:+.1f}]"
    return f"{text} {cell.best.share:.0%}" if cell.best.share < 1 else text
