"""Write and read a run directory's configuration, metrics and facts."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState

import clairkit
from clairkit.display import redact
from clairkit.errors import UsageError, suggest
from clairkit.records.formats.yaml_file import read_yaml
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.output import atomic_write
from clairkit.training.arguments.defaults import argument_defaults
from clairkit.training.config import TrainConfig
from clairkit.training.config_sources import Resolved
from clairkit.training.reference.spec import parse_ref
from clairkit.training.run_directory.portable import hub_id, portable, portable_command

CONFIG, METRICS, CARD, RUN = "config.yaml", "metrics.jsonl", "README.md", "run.json"
PAGE = "training.html"

_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "peft")


class StepLines(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Says a line for each logged step, in place of the Trainer's bars and prints."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_log(self, _args: Any, state: TrainerState, *_: Any, logs: Any = None, **__: Any) -> None:
        for prefix in ("", "eval_"):
            if logs and f"{prefix}loss" in logs:
                parts = [
                    f"{name} {logs[prefix + key]:.3f}"
                    for name, key in _SHOWN.items()
                    if prefix + key in logs
                ]
                kind = "held out" if prefix else "step"
                self.say(f"{kind} {state.global_step}/{state.max_steps}  {'  '.join(parts)}")


_SHOWN = {
    "loss": "loss",
    "chosen": "rewards/chosen",
    "rejected": "rewards/rejected",
    "accuracy": "rewards/accuracies",
}


class MetricsFile(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Appends a row to metrics.jsonl for each logged step."""

    def __init__(self, run: Path) -> None:
        self.path = run / METRICS

    def on_log(self, _args: Any, state: TrainerState, *_: Any, logs: Any = None, **__: Any) -> None:
        if state.is_world_process_zero and logs:
            row = {"step": state.global_step, **{k: _finite(v) for k, v in logs.items()}}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, allow_nan=False) + "\n")


def _finite(value: object) -> object:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def config_text(resolved: Resolved) -> str:
    """Return the resolved configuration as YAML, each value with its origin as a comment."""
    import yaml

    lines = []
    for key, value in resolved.config.to_dict().items():
        text = yaml.safe_dump({key: value}, width=10**6).rstrip("\n")
        origin = resolved.origins.get(key, "default")
        lines.append(f"{text}  # {origin}" if "\n" not in text else f"# {origin}\n{text}")
    return "\n".join(lines) + "\n"


def portable_config(resolved: Resolved) -> str:
    """Return the text of config.yaml: as `config_text`, without the folders of this machine."""
    values = _portable(resolved.config.to_dict())
    own = {f.name for f in dataclasses.fields(TrainConfig)}
    config = TrainConfig(
        **{key: value for key, value in values.items() if key in own},
        arguments={key: value for key, value in values.items() if key not in own},
    )
    origins = {key: portable(origin) for key, origin in resolved.origins.items()}
    return config_text(Resolved(config, origins))


def _portable(values: JsonMapping) -> JsonObject:
    texts = {key: portable(value) for key, value in values.items() if isinstance(value, str)}
    return {**values, **texts, "ref": parse_ref(values["ref"]).portable}


def check_allowed(allowed: Sequence[str], *, resume: bool) -> None:
    """Check the keys whose change a resumed run is allowed.

    Raises:
        UsageError: a key that does not exist, or nothing is resumed.
    """
    if allowed and not resume:
        raise UsageError("--allow-change is for --resume", received=", ".join(allowed))
    known = {*_own_defaults(), *argument_defaults(), "model", "pairs"}
    for key in allowed:
        if key not in known:
            remedy = f"{suggest(key, known)}See docs/training.md for the keys"
            raise UsageError("unknown configuration key", received=key, remedy=remedy)


def check_same_run(config: TrainConfig, run: Path, allowed: Sequence[str] = ()) -> list[str]:
    """Refuse to resume a run whose configuration was another.

    A key that the saved configuration lacks had its default. Where the run directory lies is no
    part of what the run is.

    Returns:
        A line for each allowed difference, with what follows from it.

    Raises:
        UsageError: with each other key that differs; an unknown key in `allowed`.
    """
    check_allowed(allowed, resume=True)
    before, now = saved_values(run), _values(config.to_dict())
    for values in (before, now):
        if values["ref"] == "base" and not values["adapter"]:
            values["ref"] = "start"  # without an adapter that was trained before they are the same
    differences = {
        key: f"{key}: {before.get(key)!r} then, {now.get(key)!r} now"
        for key in sorted((before.keys() | now.keys()) - {"output"})
        if before.get(key) != now.get(key)
    }
    refused = [line for key, line in differences.items() if key not in allowed]
    if refused:
        raise UsageError(
            f"{run} was started with another configuration: {'; '.join(refused)}",
            remedy=f"resume with the values of then (--config {run / CONFIG} has them), allow a "
            "change with --allow-change KEY, or start a new run with another --output",
        )
    return [
        f"{line} ({_FOLLOWS[key]})" if key in _FOLLOWS else line
        for key, line in differences.items()
    ]


def with_defaults_of_then(resolved: Resolved, run: Path) -> Resolved:
    """Return the configuration with the defaults that a run began with, where none was given now.

    A default may have changed since; which values were defaults is said beside them in config.yaml.

    Raises:
        UsageError: as `saved_values`.
    """
    config, origins = resolved.config, dict(resolved.origins)
    before, now = saved_values(run), _values(config.to_dict())
    written = saved_origins(run)
    own = {f.name for f in dataclasses.fields(TrainConfig)} - {"arguments", "model", "pairs"}
    changed: JsonObject = {}
    for key, origin in resolved.origins.items():
        if key == "tokens_per_step" or not origin.startswith("default"):
            continue
        if written.get(key, "default").startswith("default") and before.get(key) != now.get(key):
            changed[key] = before.get(key)
            origins[key] = "default, from the run that is resumed"
    arguments = {key: changed[key] for key in changed.keys() - own}
    kept = dataclasses.replace(
        config,
        arguments={**config.arguments, **arguments},
        **{key: changed[key] for key in changed.keys() & own},
    )
    return dataclasses.replace(resolved, config=kept, origins=origins)


def saved_origins(run: Path) -> dict[str, str]:
    """Return what config.yaml says of where its values came from: behind them, or a line above."""
    origins: dict[str, str] = {}
    above = ""
    for line in (run / CONFIG).read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            above = line[2:]
        elif line and line[0] not in " -":
            _, mark, behind = line.rpartition("  # ")
            origins[line.partition(":")[0]] = behind if mark else above
    return origins


_SCHEDULE = "from here on the learning rate follows the schedule of the new length"
_PLACE = "the place in the data is counted in steps: pairs may come again, or not in this epoch"
_FOLLOWS = {
    "max_steps": _SCHEDULE,
    "num_train_epochs": _SCHEDULE,
    "warmup_steps": "from here on the learning rate follows the new schedule",
    "lr_scheduler_type": "from here on the learning rate follows the new schedule",
    "per_device_train_batch_size": _PLACE,
    "gradient_accumulation_steps": _PLACE,
    "pairs": _PLACE,
    "seed": "from here on the pairs come in another order",
}


def saved_values(run: Path) -> JsonObject:
    """Return the configuration of a run, keys that it lacks at their defaults.

    Raises:
        UsageError: the folder is no run directory, or its configuration can't be read.
    """
    try:
        saved = read_yaml(run / CONFIG)
        if not isinstance(saved, dict):
            raise ValueError("it must hold keys and values")
    except OSError as error:
        raise UsageError(
            f"{run} is no run directory: it has no {CONFIG}", remedy="start without --resume"
        ) from error
    except ValueError as error:
        raise UsageError(f"{run / CONFIG} can't be read: {error}") from error
    return _values(saved)


def _values(given: JsonMapping) -> JsonObject:
    """Return all keys with their values, defaults too, in the types that YAML has."""
    import yaml

    plain = yaml.safe_load(yaml.safe_dump({**_own_defaults(), **given}))
    return _portable({**argument_defaults(), **plain})


def _own_defaults() -> JsonObject:
    """Return the defaults of clairkit's own keys."""
    defaults = TrainConfig(model="", pairs="", output="").to_dict()
    return {key: defaults[key] for key in defaults if key not in ("model", "pairs", "output")}


def note_changes(run: Path, resolved: Resolved, step: int, changes: Sequence[str]) -> None:
    """Write the configuration of today, and into run.json what changed after which step.

    Args:
        run: the run directory.
        resolved: the configuration of today.
        step: after which it holds.
        changes: what differs, in words.
    """
    facts = json.loads((run / RUN).read_text(encoding="utf-8"))
    facts["changes"] = [*changes_of(run), {"after_step": step, "what": list(changes)}]
    with atomic_write(run / RUN) as file:
        file.write((json.dumps(facts, indent=1) + "\n").encode())
    with atomic_write(run / CONFIG) as file:
        file.write(portable_config(resolved).encode())


def changes_of(run: Path) -> list[Any]:
    """Return the allowed changes of a run so far, as run.json holds them."""
    changes: list[Any] = kept_facts(run).get("changes", [])
    return changes


def kept_facts(run: Path) -> JsonObject:
    """Return what run.json tells of a run's beginning and resumes, for its end to tell too."""
    facts = json.loads((run / RUN).read_text(encoding="utf-8"))
    return {key: facts[key] for key in ("changes", "loss_choice") if facts.get(key)}


def reference_file(run: Path) -> Path | None:
    """Return the name of the reference cache that a run started with, for the same bits again.

    Raises:
        UsageError: run.json can't be read.
    """
    try:
        name = json.loads((run / RUN).read_text(encoding="utf-8")).get("reference_file")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{run / RUN} can't be read: {error}") from error
    return Path(name) if name else None


def trim_metrics(run: Path, step: int) -> None:
    """Drop the rows that a run resumed after `step` writes again, and what was torn by a kill."""
    path = run / METRICS
    kept = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
            if row["step"] <= step and "train_runtime" not in row:
                kept.append(line + b"\n")
        except (ValueError, KeyError, TypeError):
            continue
    with atomic_write(path) as file:
        file.writelines(kept)


def read_metrics(run: Path) -> list[JsonObject]:
    """Return the rows of metrics.jsonl; what a kill tore is left out."""
    path = run / METRICS
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def run_facts(config: TrainConfig, facts: JsonMapping) -> JsonObject:
    """Return what run.json holds: versions, platform, command, and the run's own facts."""
    return {
        "clairkit": clairkit.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "command": redact(shlex.join(portable_command(sys.argv))),
        "model": hub_id(config.model) or portable(config.model),
        **facts,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
