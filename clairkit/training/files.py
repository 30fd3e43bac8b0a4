"""The files of a run directory beside checkpoints and weights: configuration, card, metrics."""

from __future__ import annotations

import json
import math
import platform
import shlex
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

import clairkit
from clairkit.display import redact
from clairkit.errors import UsageError
from clairkit.training.config import Resolved, TrainConfig, argument_defaults

CONFIG, METRICS, CARD, RUN = "config.yaml", "metrics.jsonl", "README.md", "run.json"

_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "peft")


class StepLines(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Says a line for each logged step, in place of the Trainer's bars and prints."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_log(
        self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Called by the Trainer after each log."""
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

    def on_log(
        self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Called by the Trainer after each log."""
        if state.is_world_process_zero and logs:
            row = {"step": state.global_step, **{k: _finite(v) for k, v in logs.items()}}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
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


def check_same_run(config: TrainConfig, run: Path) -> None:
    """Refuse to resume a run whose configuration was another.

    Raises:
        UsageError: with each key that differs.
    """
    import yaml

    try:
        saved = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(saved, dict):
            raise ValueError("it must hold keys and values")
    except OSError as error:
        raise UsageError(
            f"{run} is no run directory: it has no {CONFIG}", remedy="start without --resume"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{run / CONFIG} can't be read: {error}") from error
    before = {**argument_defaults(), **saved}
    now = {**argument_defaults(), **yaml.safe_load(yaml.safe_dump(config.to_dict()))}
    differences = [
        f"{key}: {before.get(key)!r} then, {now.get(key)!r} now"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if differences:
        raise UsageError(
            f"{run} was started with another configuration: {'; '.join(differences)}",
            remedy="resume with the values of then, or start a new run with another --output",
        )


def trim_metrics(run: Path, step: int) -> None:
    """Drop the rows that a run resumed after `step` writes again, and a torn last line."""
    path = run / METRICS
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["step"] <= step and "train_runtime" not in row:
            kept.append(line + "\n")
    path.write_text("".join(kept), encoding="utf-8")


def run_facts(config: TrainConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what run.json holds: versions, platform, command, and the run's own facts."""
    return {
        "clairkit": clairkit.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "command": redact(shlex.join(sys.argv)),
        "model": config.model,
        **facts,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def model_card(config: TrainConfig, facts: Mapping[str, Any]) -> str:
    """Return the model card: what was trained on what, how, and what it did."""
    rows = "\n".join(
        f"| {name} | {value:.4g} |"
        for name, value in facts["metrics"].items()
        if isinstance(value, float)
    )
    return f"""---
base_model: {config.model}
library_name: transformers
tags: [clairkit, preference-optimization, {config.loss}]
---

# {Path(config.output).name}

`{config.model}` trained with clairkit {clairkit.__version__} on {facts["pairs"]} preference pairs
of `{Path(config.pairs).name}`.

- loss `{config.loss}`, beta {config.beta}, {facts["steps"]} steps,
  learning rate {facts["learning_rate"]:g}
- reference: the model itself before training; kernel `{facts["kernel"]}`
- all settings, with their origin: `{CONFIG}`; a row for each logged step: `{METRICS}`

The last logged step (rewards are beta times the log-ratio to the reference, in nats):

| metric | value |
|---|---|
{rows}
"""
