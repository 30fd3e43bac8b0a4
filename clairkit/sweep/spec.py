"""Read sweep.yaml: what is tried, on what it is measured, and how much it may take."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clairkit.errors import DataError
from clairkit.evaluation.config_table import ConfigTable, read_config_table
from clairkit.records import digest
from clairkit.records.formats.yaml_file import json_values
from clairkit.records.json_types import JsonMapping, JsonObject

STRATEGIES = ("grid", "halving")
EQUAL = ("none", "pairs", "tokens")
LEAST_HALVED = 16
"""Settings from which on halving is allowed: it ends with a quarter, and too few are too few to
compare. In simulation it loses 16 % of a grid's choices among 8, 8 % among 12, 1 % among 16."""

# What a trial that is killed goes on from; the base may say otherwise.
_SAVING = {"save_strategy": "steps", "save_steps": 0.25, "save_total_limit": 1}
_OWN = {"pairs": "name them under pairs", "seed": "list them under seeds"}
_RESERVED = {**_OWN, "output": "the sweep names it with -o", "output_dir": "use -o"}
_SLUG = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class Budget:
    """What all trials may take together; None for no limit.

    Attributes:
        hours: of training and measuring, summed over trials (so that two devices use two an hour).
        trials: begun at most.
        cost: US$ of models that are asked, and of `price_per_hour`.
        price_per_hour: US$ of a device.
    """

    hours: float | None = None
    trials: int | None = None
    cost: float | None = None
    price_per_hour: float = 0.0


@dataclass(frozen=True)
class Setting:
    """What a model is trained by, its seed aside.

    Attributes:
        number: its place in sweep.yaml, the simplest first.
        pairs: the name of the source; "" where the base names the pairs.
        values: of the factors.
    """

    number: int
    pairs: str
    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Return it as people read it: `clair, apo_zero, learning_rate 1e-06`."""
        shown = [
            str(value) if key == "loss" else f"{key} {shown_value(value)}"
            for key, value in self.values.items()
        ]
        return ", ".join([self.pairs, *shown] if self.pairs else shown) or "base"

    def to_json(self) -> JsonObject:
        """Return what sweep.json says of it."""
        return {**({"pairs": self.pairs} if self.pairs else {}), **self.values}


@dataclass(frozen=True)
class Trial:
    """One training run: a setting and a seed."""

    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        """Return the name of its folder."""
        words = _SLUG.sub("-", self.setting.label).strip("-")[:80]
        return f"{self.setting.number:03d}-{words}-seed{self.seed}"


@dataclass(frozen=True)
class SweepSpec:
    """What sweep.yaml says.

    Attributes:
        path: of the file.
        base: the train configuration that all trials share.
        pairs: files of pairs by name, the simplest first; empty where the base names them.
        factors: the values of each key that is varied, the simplest first.
        seeds: of the trials of each setting.
        equal: to what all sources are cut: the same `pairs`, the same `tokens`, or `none`.
        prompts: the held-out prompts of the metric.
        metric: the configuration of `evaluate`.
        guards: of the metric, as `evaluate` takes them.
        strategy: `grid` or `halving`.
        budget: of all trials.
    """

    path: str
    base: JsonMapping
    pairs: Mapping[str, str]
    factors: Mapping[str, Sequence[Any]]
    seeds: tuple[int, ...]
    equal: str
    prompts: str
    metric: str
    guards: tuple[JsonMapping, ...]
    strategy: str
    budget: Budget

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """Return all settings, the simplest first: in the order of the file, the last key first."""
        names = tuple(self.pairs) or ("",)
        found = itertools.product(names, *self.factors.values())
        return tuple(
            Setting(number, name, dict(zip(self.factors, values, strict=True)))
            for number, (name, *values) in enumerate(found)
        )

    @property
    def trials(self) -> Iterator[Trial]:
        """Yield all trials in the order in which they are run.

        The first seed of all settings comes first, so that a budget that ends leaves no setting
        out; sources take turns, so that trials side by side don't compute one reference twice.
        """
        count = len(self.settings) // max(len(self.pairs), 1)
        turns = sorted(self.settings, key=lambda each: (each.number % count, each.number))
        return (Trial(setting, seed) for seed in self.seeds for setting in turns)

    @property
    def rungs(self) -> tuple[float, ...]:
        """Return the shares of all steps after which settings are measured."""
        return (0.25, 0.5, 1.0) if self.strategy == "halving" else (1.0,)

    def config(self, trial: Trial, files: Mapping[str, str]) -> JsonObject:
        """Return the train configuration of a trial.

        Args:
            trial: which.
            files: of the sources, by name, as they were cut.
        """
        values = {**_SAVING, **self.base, **trial.setting.values, "seed": trial.seed}
        if trial.setting.pairs:
            values["pairs"] = files[trial.setting.pairs]
        return values

    @property
    def digest(self) -> str:
        """Return what a sweep must share to be gone on with: all but the budget."""
        held = (self.base, self.pairs, self.factors, self.seeds, self.equal, self.prompts)
        files = [_content(self.metric), self.guards, self.strategy]
        return digest([*map(_plain, held), *map(_plain, files)])[:16]


def read_sweep(path: str | os.PathLike[str]) -> SweepSpec:
    """Return what a sweep.yaml says; files that it names lie where the command runs.

    Raises:
        DataError: a key is unknown, missing or wrong, or a file is not there; with file and key.
    """
    table = read_config_table(Path(path))
    base = _base(table)
    pairs = _pairs(table, base)
    factors = _factors(table, base, pairs)
    strategy = table.choice("strategy", STRATEGIES, "grid")
    equal = table.choice("equal", EQUAL, "none")
    if equal != "none" and len(pairs) < 2:
        problem = "there are not two sources that could be made equal"
        raise table.error(problem, "equal", received=equal, remedy="name them under pairs")
    spec = SweepSpec(
        path=str(path),
        base=base,
        pairs=pairs,
        factors=factors,
        seeds=_seeds(table),
        equal=equal,
        prompts=_file(table, "prompts"),
        metric=_file(table, "metric"),
        guards=_guards(table),
        strategy=strategy,
        budget=_budget(table.table("budget")),
    )
    table.refuse_others()
    if strategy == "halving" and len(spec.settings) < LEAST_HALVED:
        problem = f"halving needs {LEAST_HALVED} settings or more"
        raise table.error(
            problem, "strategy", received=len(spec.settings), remedy="write strategy: grid"
        )
    return spec


def shown_value(value: object) -> str:
    """Return a value as a table shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _base(table: ConfigTable) -> JsonObject:
    from clairkit.training.config_sources import meant

    base = table.get("base")
    if not isinstance(base, dict) or not base:
        problem = "a train configuration is needed"
        raise table.error(problem, "base", received=base, remedy="write base: {model: ORG/MODEL}")
    for key in base:
        if key in _RESERVED and key != "pairs":
            raise table.error("is set by the sweep", f"base.{key}", remedy=_RESERVED[key])
    return {str(key): meant(str(key), value) for key, value in base.items()}


def _pairs(table: ConfigTable, base: JsonMapping) -> dict[str, str]:
    if ("pairs" in table) == ("pairs" in base):
        problem = "pairs stand under pairs (several, by name) or under base (one)"
        raise table.error(problem, "pairs", received="both" if "pairs" in base else "neither")
    named = table.table("pairs")
    given = table.get("pairs") or {}
    found = {str(name): named.text(name) for name in given}
    for name, file in found.items():
        if "/" in name or name.startswith("."):
            raise named.error("a name of a source must fit a file's", name, received=name)
        _check_there(named, name, file)
    return found


def _factors(
    table: ConfigTable, base: JsonMapping, pairs: Mapping[str, str]
) -> dict[str, tuple[Any, ...]]:
    from clairkit.training.config_sources import meant

    named = table.table("factors")
    found = {}
    for key in table.get("factors") or {}:
        values = named.get(key)
        if key in _RESERVED:
            raise named.error("is no factor", key, remedy=_RESERVED[key])
        if not isinstance(values, list) or not values:
            remedy = f"write {key}: [{'first, second' if values is None else values}]"
            raise named.error("a list of values is needed", key, received=values, remedy=remedy)
        found[str(key)] = tuple(meant(str(key), value) for value in values)
        if len(set(map(repr, found[str(key)]))) < len(values):
            raise named.error("a value is there twice", key, received=values)
        if key in base:
            raise named.error("stands under base, too", key, remedy="leave one of the two out")
    return found


def _seeds(table: ConfigTable) -> tuple[int, ...]:
    seeds = table.get("seeds")
    if seeds is None:
        return (0,)
    is_list = isinstance(seeds, list) and bool(seeds)
    if not is_list or not all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds):
        problem = "a list of whole numbers from 0 on is needed"
        raise table.error(problem, "seeds", received=seeds, remedy="write seeds: [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise table.error("a seed is there twice", "seeds", received=seeds)
    return tuple(seeds)


def _guards(table: ConfigTable) -> tuple[JsonMapping, ...]:
    from clairkit.evaluation.guards import read_guards

    given = table.get("guards")
    guards = read_guards(table, {}, Path()) if given else ()
    for place, guard in enumerate(guards, 1):
        if guard.prompts is not None:
            _check_there(table, f"guards[{place}].prompts", guard.prompts)
    return tuple(json_values(given or []))


def _budget(table: ConfigTable) -> Budget:
    limits = {
        key: table.number(key, above=True) if key in table else None for key in ("hours", "cost")
    }
    trials = table.number("trials", least=1) if "trials" in table else None
    if trials is not None and trials % 1:
        raise table.error("a whole number is needed", "trials", received=trials)
    price = table.number("price_per_hour", 0.0)
    for key in ("hours", "trials", "cost"):
        table.get(key)  # known also where they are not given
    table.refuse_others()
    return Budget(limits["hours"], None if trials is None else int(trials), limits["cost"], price)


def _file(table: ConfigTable, key: str) -> str:
    file = table.text(key)
    _check_there(table, key, file)
    return file


def _check_there(table: ConfigTable, key: str, file: str) -> None:
    """Refuse a file that is not there; a Hub id is for its reader to find."""
    from clairkit.records.source import find_source

    if Path(file).suffix in (".yaml", ".yml"):
        if not Path(file).is_file():
            raise table.error("there is no such file", key, received=file)
        return
    try:
        find_source(file)
    except DataError as error:
        raise table.error(error.problem, key, received=file, remedy=error.remedy) from None


def _content(file: str) -> str:
    return Path(file).read_text(encoding="utf-8", errors="replace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        # Order is part of what a sweep is: it says what is simple.
        return [[str(key), _plain(each)] for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
