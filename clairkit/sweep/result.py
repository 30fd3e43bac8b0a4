"""Make of a sweep's trials one table, a choice, and the command that repeats it."""

from __future__ import annotations

import dataclasses
import json
import shlex
import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from clairkit.evaluation.folder import plain
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.output import atomic_write
from clairkit.sweep import board
from clairkit.sweep.choice import Candidate, Choice, choose
from clairkit.sweep.setting_result import (
    SettingResult,
    changes_of,
    rungs_at,
    setting_result,
)
from clairkit.sweep.sources import SourceFacts, described
from clairkit.sweep.spec import Setting, SweepSpec, Trial, shown_value
from clairkit.sweep.study import Standing
from clairkit.sweep.table import Grid, make_grid

RESULT, SCHEMA = "sweep.json", 1
_FLAGS = ("model", "pairs", "loss", "beta")


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

    @property
    def grid(self) -> Grid:
        """Return the sources by the losses."""
        return make_grid(self.spec, self.settings, self.sources)

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
            "grid": None if not self.settings else self.grid.to_json(),
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
        if (found := setting_result(setting, spec, trials, prompts, labels)) is not None
    )
    able = [each for each in settings if each.may_be_chosen]
    choice = None
    reason = "no trial is measured to the end" if not settings else "no setting's guards hold"
    if able:
        candidates = [Candidate(each.setting.label, each.changes) for each in able]
        choice = choose(candidates, labels, _first_rung(spec, trials, prompts))
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
    """Return the one command that trains by a setting, with the first seed.

    Args:
        spec: of the sweep.
        setting: which.
        files: of the sources by name, as they were cut.
        output: the run directory.
    """
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


def _first_rung(
    spec: SweepSpec, trials: Mapping[str, Standing], prompts: Sequence[str]
) -> list[Candidate]:
    """Return all settings where halving measured all of them; none of a grid."""
    found = []
    for setting in spec.settings if len(spec.rungs) > 1 else ():
        names = [Trial(setting, seed).name for seed in spec.seeds]
        rungs = rungs_at([trials[name] for name in names if name in trials], spec.rungs[0])
        if rungs:
            found.append(Candidate(setting.label, changes_of(rungs, prompts)))
    return found
