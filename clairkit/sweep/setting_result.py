"""Put together what was measured of one setting over its seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

import numpy as np

from clairkit.records.json_types import JsonObject
from clairkit.statistics.change import Change, mean_change
from clairkit.statistics.estimates import Estimate, FloatArray, normal_quantile
from clairkit.statistics.guards import Guard, GuardResult, GuardStatus, check_guards
from clairkit.statistics.seeds import seed_spread
from clairkit.sweep.spec import Setting, SweepSpec, Trial
from clairkit.sweep.study import Standing

_LEVEL = 0.95


@dataclass(frozen=True)
class SettingResult:
    """What was measured of a setting.

    Attributes:
        setting: which.
        share: of all steps, at which it was measured last.
        changes: [S, n] by seed and prompt, against the base.
        estimate: their mean, with the interval over seeds and prompts.
        guards: over its seeds.
        died: trials of it that did.
    """

    setting: Setting
    share: float
    changes: FloatArray
    estimate: Estimate
    guards: tuple[GuardResult, ...]
    died: int = 0

    @property
    def may_be_chosen(self) -> bool:
        """Whether it was measured to the end, none of its trials died, and its guards hold."""
        holds = all(each.status is GuardStatus.HOLDS for each in self.guards)
        return self.share == 1.0 and not self.died and holds

    @property
    def remark(self) -> str:
        """Say what speaks against it, "" for nothing."""
        if self.share < 1.0:
            return f"halving stopped it at {self.share:.0%}"
        if self.died:
            return f"{self.died} died"
        open_ = [each for each in self.guards if each.status is not GuardStatus.HOLDS]
        return ", ".join(f"guard {each.guard.name} {each.status}" for each in open_)

    def to_json(self) -> JsonObject:
        """Return the row of `table`."""
        found = self.estimate
        interval = found.interval
        return {
            **self.setting.to_json(),
            "label": self.setting.label,
            "share": self.share,
            "seeds": len(self.changes),
            "died": self.died,
            "n": found.n,
            "estimate": found.estimate,
            "low": None if interval is None else interval.low,
            "high": None if interval is None else interval.high,
            "level": found.level,
            "method": found.method,
            "by_seed": [float(each) for each in self.changes.mean(1)],
            "guards": [_guard_json(each) for each in self.guards],
            "remark": self.remark,
        }


def setting_result(
    setting: Setting,
    spec: SweepSpec,
    trials: Mapping[str, Standing],
    prompts: Sequence[str],
    labels: Sequence[Hashable] | None,
) -> SettingResult | None:
    """Return what was measured of a setting at its last rung; None for nothing.

    Args:
        setting: which.
        spec: of the sweep.
        trials: by name.
        prompts: ids of those that all trials have a change of.
        labels: cluster of each prompt; None when prompts are independent.
    """
    mine = [trials[name] for seed in spec.seeds if (name := Trial(setting, seed).name) in trials]
    shares = [float(share) for each in mine for share in each.rungs]
    if not shares:
        return None
    last = max(shares)
    found: list[Mapping[str, Any]] = rungs_at(mine, last)
    changes = changes_of(found, prompts)
    died = sum(each.failure is not None for each in mine)
    estimate = _estimate(changes, labels)
    return SettingResult(setting, last, changes, estimate, _guards(found), died)


def rungs_at(trials: Sequence[Standing], share: float) -> list[Mapping[str, Any]]:
    """Return what was measured of trials at a share of their steps."""
    return [each.rungs[f"{share:g}"] for each in trials if f"{share:g}" in each.rungs]


def changes_of(found: Sequence[Mapping[str, Any]], prompts: Sequence[str]) -> FloatArray:
    """Return the changes by seed and prompt, [S, n]."""
    return np.array([[rung["changes"][each] for each in prompts] for rung in found])


def _estimate(changes: FloatArray, labels: Sequence[Hashable] | None) -> Estimate:
    if len(changes) > 1:
        return seed_spread(changes, labels).estimate
    (values,) = changes
    groups = [*(range(len(values)) if labels is None else labels)]
    arms = [False] * len(values) + [True] * len(values)
    found = mean_change([*np.zeros(len(values)), *values], arms, [*groups, *groups])
    change = dataclasses.replace(found, n=len(values))
    return change.to_estimate(_LEVEL, "clustered sandwich, Student's t; of one seed")


def _guards(found: Sequence[Mapping[str, Any]]) -> tuple[GuardResult, ...]:
    """Test a setting's guards over its seeds, with Holm's correction."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for rung in found:
        for guard in rung["guards"]:
            by_name.setdefault(guard["name"], []).append(guard)
    guards = [Guard(name, _over_seeds(each), each[0]["margin"]) for name, each in by_name.items()]
    return tuple(check_guards(guards, 1 - _LEVEL))


def _over_seeds(rows: Sequence[Mapping[str, Any]]) -> Change:
    """Return a guard's change over seeds: what prompts leave open, and what seeds do.

    Seeds are measured at the same prompts, so that more of them leave the first part as it is.
    """
    estimates = [row["estimate"] for row in rows]
    count, mean = len(rows), fmean(estimates)
    n, clusters = rows[0]["n"], rows[0]["clusters"]
    if any(row["lower"] is None for row in rows):
        return Change(mean, math.nan, 0.0, n, clusters)
    errors = [(row["estimate"] - row["lower"]) / normal_quantile(row["level"]) for row in rows]
    within = fmean(error**2 for error in errors)
    between = variance(estimates) / count if count > 1 else 0.0
    dof = (count - 1) * ((within + between) / between) ** 2 if between > 0 else math.inf
    return Change(mean, math.sqrt(within + between), dof, n, clusters)


def _guard_json(found: GuardResult) -> JsonObject:
    return {
        "name": found.guard.name,
        "status": found.status.value,
        "estimate": found.guard.change.estimate,
        "lower": found.lower,
        "margin": found.guard.margin,
        "level": found.level,
    }
