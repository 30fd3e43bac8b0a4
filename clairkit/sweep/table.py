"""Lay the settings of a sweep out as a grid: sources by losses, as in the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clairkit.records.json_types import JsonObject
from clairkit.sweep.setting_result import SettingResult
from clairkit.sweep.sources import SourceFacts
from clairkit.sweep.spec import SweepSpec, shown_value


@dataclass(frozen=True)
class Grid:
    """The best setting of each source and loss.

    Attributes:
        factor: of the columns; "" for none.
        columns: its values, as texts.
        over: the other factors that are varied, over which each cell is the best.
        rows: by source, the best setting of each cell; None where nothing was measured.
        contrastiveness: of each source; None where it is not known.
    """

    factor: str
    columns: tuple[str, ...]
    over: tuple[str, ...]
    rows: Mapping[str, Sequence[SettingResult | None]]
    contrastiveness: Mapping[str, float | None]

    def to_json(self) -> JsonObject:
        """Return it as sweep.json holds it: each cell a row of its table."""
        rows = [
            {
                "source": name,
                "contrastiveness": self.contrastiveness[name],
                "cells": [None if each is None else each.to_json() for each in cells],
            }
            for name, cells in self.rows.items()
        ]
        return {
            "factor": self.factor,
            "columns": list(self.columns),
            "best_over": list(self.over),
            "rows": rows,
        }


def make_grid(
    spec: SweepSpec, settings: Sequence[SettingResult], sources: Mapping[str, SourceFacts]
) -> Grid:
    """Return the grid of sources by losses, or by the first factor that is varied.

    Of several settings in a cell it has the one that was trained longest, and of these the best.
    """
    varied = [key for key, values in spec.factors.items() if len(values) > 1]
    factor = "loss" if "loss" in spec.factors else next(iter(varied), "")
    values: Sequence[Any] = spec.factors[factor] if factor else (None,)
    return Grid(
        factor=factor,
        columns=tuple(map(shown_value, values)) if factor else ("change",),
        over=tuple(key for key in varied if key != factor),
        rows={name: [_best(settings, name, factor, value) for value in values] for name in sources},
        contrastiveness={name: each.contrastiveness for name, each in sources.items()},
    )


def _best(
    settings: Sequence[SettingResult], source: str, factor: str, value: object
) -> SettingResult | None:
    inside = (
        each
        for each in settings
        if each.setting.pairs == source and (not factor or each.setting.values[factor] == value)
    )
    return max(inside, key=lambda each: (each.share, each.estimate.estimate), default=None)
