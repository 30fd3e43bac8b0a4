"""Find the runs of one configuration, and tell a change from the spread between their seeds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from clairkit.display import counted
from clairkit.errors import UsageError
from clairkit.evaluation.signals import Signal, signal_of
from clairkit.records import digest
from clairkit.records.formats.yaml_file import YamlProblem, json_values, read_yaml
from clairkit.records.json_types import JsonObject
from clairkit.statistics.estimates import Resampling
from clairkit.statistics.seeds import SeedSpread, SeedVerdict, seed_spread
from clairkit.statistics.win_rate import labels_of

_CONFIG = "config.yaml"
_FREE = frozenset({"seed", "data_seed", "output"})
"""Keys in which runs of one configuration may differ."""


def same_configuration(models: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the models that are runs of one configuration with different seeds, group by group.

    Args:
        models: spec (`hf:RUN`) of each model by name; what is no run directory is passed over.
    """
    groups: dict[str, dict[tuple[Any, ...], str]] = {}
    for name, spec in models.items():
        config = run_configuration(Path(spec.removeprefix("hf:")))
        if config is None:
            continue
        shared = digest({key: config[key] for key in sorted(config) if key not in _FREE})
        seeds = tuple(config.get(key) for key in ("seed", "data_seed"))
        # The same seed again is the same run, and no further evidence.
        groups.setdefault(shared, {}).setdefault(seeds, name)
    return [tuple(names.values()) for names in groups.values() if len(names) > 1]


def run_configuration(run: Path) -> JsonObject | None:
    """Return the configuration of a run directory; None of another folder, or none."""
    try:
        found = json_values(read_yaml(run / _CONFIG))
    except (OSError, YamlProblem):
        return None
    is_run = isinstance(found, dict) and "loss" in found and "pairs" in found
    return {str(key): value for key, value in found.items()} if is_run else None


def seeds_signal(
    changes: Mapping[str, Mapping[str, float]],
    against: str,
    rests_on: str,
    *,
    unit: str = "points",
    clusters: Mapping[str, Hashable] | None = None,
    resampling: Resampling | None = None,
) -> Signal:
    """Return the mean change over seeds, with an interval that holds for further seeds, too.

    Args:
        changes: of each run, of each prompt by its id: a score minus the baseline's, or a win
            score minus 1/2.
        against: the baseline's name.
        rests_on: the signal that the changes are of: `check`, `judge`, a KPI's name.
        unit: of the changes.
        clusters: what each prompt belongs to; None when prompts are independent.
        resampling: level, draws and seed.

    Raises:
        UsageError: there are fewer than two runs, or no prompt is in all.
    """
    if len(changes) < 2:
        problem = "a spread between seeds needs two runs or more of one configuration"
        raise UsageError(problem, received=", ".join(changes) or "none")
    prompts = sorted(set.intersection(*(set(each) for each in changes.values())))
    labels = None if clusters is None else labels_of(prompts, clusters)
    values = [[each[prompt] for prompt in prompts] for each in changes.values()]
    found = seed_spread(values, labels, resampling)
    everywhere = set().union(*changes.values())
    notes = [_verdict(found)]
    if left := len(everywhere) - len(prompts):
        notes.append(f"{counted(left, 'prompt')} without a value of each run left out")
    low, high = found.range
    return signal_of(
        "seeds",
        found.estimate,
        model=", ".join(changes),
        against=against,
        name=rests_on,
        unit=unit,
        notes=tuple(notes),
        details={
            "means": dict(zip(changes, found.means, strict=True)),
            "deviation": found.deviation,
            "lowest": low,
            "highest": high,
            "prompts_error": found.prompts_error,
            "verdict": found.verdict.value,
        },
    )


def _verdict(found: SeedSpread) -> str:
    """Say what the seeds show."""
    if found.verdict in (SeedVerdict.BETTER, SeedVerdict.WORSE):
        return f"{found.verdict} also beyond the spread between seeds"
    return str(found.verdict)
