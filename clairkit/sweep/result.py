"""Make of a sweep's trials one table, a choice, and the command that repeats it."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import signal as signals
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import numpy as np
import yaml

from clairkit.evaluation.folder import plain
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.output import atomic_write
from clairkit.statistics.change import Change, mean_change
from clairkit.statistics.estimates import Estimate, FloatArray, normal_quantile
from clairkit.statistics.guards import Guard, GuardResult, GuardStatus, check_guards
from clairkit.statistics.seeds import seed_spread
from clairkit.sweep import board
from clairkit.sweep.choice import Candidate, Choice, choose
from clairkit.sweep.sources import SourceFacts, described
from clairkit.sweep.spec import Setting, SweepSpec, Trial, shown_value
from clairkit.sweep.study import Standing

RESULT, SCHEMA = "sweep.json", 1
_FLAGS = ("model", "pairs", "loss", "beta")
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


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found so far.

    Attributes:
        spec: of the sweep.
        trials: by name.
        settings: those with a measured trial, the simplest first.
        sources: what each source is.
        metric: `check` or `judge`; "" before anything is measured.
        choice: None where no setting may be chosen.
        reason: of the choice, or why there is none.
        command: that repeats the choice; None without one.
        signal: that ended the work early.
        over_budget: whether the budget did.
    """

    spec: SweepSpec
    trials: Mapping[str, Standing]
    settings: tuple[SettingResult, ...]
    sources: Mapping[str, SourceFacts]
    metric: str
    choice: Choice | None
    reason: str
    command: str | None
    signal: int | None = None
    over_budget: bool = False

    @property
    def chosen(self) -> SettingResult | None:
        """Return the setting that was chosen."""
        name = None if self.choice is None else self.choice.name
        return next((each for each in self.settings if each.setting.label == name), None)

    @property
    def died(self) -> dict[str, JsonMapping]:
        """Return what each trial died of, by its name."""
        return {name: each.failure for name, each in self.trials.items() if each.failure}

    @property
    def unfinished(self) -> int:
        """Return how many trials are still to be run."""
        return sum(not each.has(1.0) for each in self.trials.values())

    @property
    def steps(self) -> int:
        """Return the training steps of all trials."""
        return sum(each.last["steps"] for each in self.trials.values() if each.last)

    def with_end(self, signal: int | None, over_budget: bool) -> SweepResult:
        """Return it with what ended the work."""
        return dataclasses.replace(self, signal=signal, over_budget=over_budget)

    def exit_code(self) -> int:
        """Return 0 with a choice, 8 without; 4 where trials died or are left; 130 for a signal."""
        if self.signal is not None:
            return 128 + signals.Signals(self.signal)
        if self.died or self.unfinished:
            return 4
        return 0 if self.chosen is not None else 8

    def to_json(self) -> JsonObject:
        """Return what `sweep.json` holds."""
        hours, usd = board.spent(self.trials, self.spec.budget.price_per_hour)
        choice = self.choice
        return {
            "schema": SCHEMA,
            "strategy": self.spec.strategy,
            "rungs": list(self.spec.rungs),
            "metric": {"file": self.spec.metric, "prompts": self.spec.prompts, "by": self.metric},
            "equal": described(self.spec),
            "sources": {name: dataclasses.asdict(each) for name, each in self.sources.items()},
            "factors": {name: list(values) for name, values in self.spec.factors.items()},
            "seeds": list(self.spec.seeds),
            "trials": [self._trial(trial) for trial in self.spec.trials],
            "table": [each.to_json() for each in self.settings],
            "choice": None if self.chosen is None else self.chosen.setting.to_json(),
            "separable": choice is not None and choice.is_separable,
            "best": None if choice is None else choice.best,
            "within_one_standard_error": [] if choice is None else list(choice.near),
            "reason": self.reason,
            "command": self.command,
            "spent": {"steps": self.steps, "hours": hours, "usd": usd},
        }

    def _trial(self, trial: Trial) -> JsonObject:
        each = self.trials.get(trial.name, Standing(trial.name))
        state = "done" if "1" in each.rungs else "waiting"
        state = "halved" if each.is_pruned else state
        rungs = sorted(each.rungs.items(), key=lambda item: float(item[0]))
        return {
            "name": trial.name,
            **trial.setting.to_json(),
            "seed": trial.seed,
            "state": "died" if each.failure else state,
            "died_of": each.failure,
            "rungs": [
                {
                    "share": float(share),
                    "steps": found["steps"],
                    "change": board.mean_change(found),
                    "seconds": found["seconds"],
                    "usd": found["usd"],
                }
                for share, found in rungs
            ],
        }


def make_result(
    spec: SweepSpec,
    trials: Mapping[str, Standing],
    sources: Mapping[str, SourceFacts],
    folder: Path,
) -> SweepResult:
    """Return the table and the choice of what is measured so far.

    Args:
        spec: of the sweep.
        trials: by name.
        sources: what each source is, by name.
        folder: of the sweep, for the command that repeats the choice.
    """
    rungs = [found for each in trials.values() for found in each.rungs.values()]
    prompts = sorted(set.intersection(*(set(found["changes"]) for found in rungs))) if rungs else []
    clusters = rungs[0]["clusters"] if rungs else {}
    labels = [clusters[each] for each in prompts] if clusters else None
    settings = tuple(
        found
        for setting in spec.settings
        if (found := _setting(setting, spec, trials, prompts, labels)) is not None
    )
    able = [each for each in settings if each.may_be_chosen]
    choice = None
    reason = "no trial is measured to the end" if not settings else "no setting's guards hold"
    if able:
        candidates = [Candidate(each.setting.label, each.changes) for each in able]
        choice = choose(candidates, labels)
        reason = choice.reason
    files = {name: each.file for name, each in sources.items()}
    metric = rungs[0]["metric"] if rungs else ""
    result = SweepResult(spec, trials, settings, sources, metric, choice, reason, None)
    if result.chosen is None:
        return result
    return dataclasses.replace(
        result, command=train_command(spec, result.chosen.setting, files, folder / "chosen")
    )


def write_result(result: SweepResult, folder: Path) -> None:
    """Write `sweep.json`; the same trials give the same bytes."""
    text = json.dumps(plain(result.to_json()), ensure_ascii=False, indent=1, allow_nan=False)
    with atomic_write(folder / RESULT) as file:
        file.write(text.encode("utf-8", "backslashreplace") + b"\n")


def train_command(spec: SweepSpec, setting: Setting, files: Mapping[str, str], output: Path) -> str:
    """Return the one command that trains by a setting, with the first seed."""
    values = {**spec.base, **setting.values, "seed": spec.seeds[0]}
    if setting.pairs:
        values["pairs"] = files[setting.pairs]
    words = ["clairkit", "train"]
    for key in _FLAGS:
        if key in values:
            words += [f"--{key}", shown_value(values.pop(key))]
    for key, value in values.items():
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
        words += ["--set", f"{key}={text.removesuffix('...' + chr(10)).strip()}"]
    return shlex.join([*words, "-o", str(output)])


def _setting(
    setting: Setting,
    spec: SweepSpec,
    trials: Mapping[str, Standing],
    prompts: Sequence[str],
    labels: Sequence[Hashable] | None,
) -> SettingResult | None:
    """Return what was measured of a setting at its last rung; None for nothing."""
    mine = [trials[name] for seed in spec.seeds if (name := Trial(setting, seed).name) in trials]
    shares = [float(share) for each in mine for share in each.rungs]
    if not shares:
        return None
    last = max(shares)
    found: list[Mapping[str, Any]] = [
        each.rungs[f"{last:g}"] for each in mine if f"{last:g}" in each.rungs
    ]
    changes = np.array([[rung["changes"][each] for each in prompts] for rung in found])
    died = sum(each.failure is not None for each in mine)
    estimate = _estimate(changes, labels)
    return SettingResult(setting, last, changes, estimate, _guards(found), died)


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
