"""Settle and refuse what can be before any weight is loaded: for a run and for its plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from transformers import TrainingArguments

from clairkit.errors import UsageError
from clairkit.records.json_types import JsonObject
from clairkit.training.adapters import load_adapter_settings
from clairkit.training.arguments.checks import check_hub_login
from clairkit.training.best_metric import check_best_metric
from clairkit.training.config import TrainConfig
from clairkit.training.config_sources import Resolved
from clairkit.training.models import load_settings
from clairkit.training.preparation import refuse_float16, training_arguments
from clairkit.training.reference.spec import Ref

# On a CPU smaller parts are faster, too: what they hold stays in its caches (docs/training.md).
_CPU_TOKENS = 1024
_GPU_TOKENS = 8192


def check_early(config: TrainConfig) -> TrainingArguments:
    """Return the Trainer's arguments when the run has what it names.

    Raises:
        UsageError: a value that transformers refuses, an evaluation without pairs, a metric for the
            best model that there won't be, a reference that is not there.
    """
    arguments = training_arguments(config)
    check_hub_login(arguments)
    check_evaluation(arguments, has_pairs=config.eval_pairs is not None)
    check_best_metric(arguments, config, [""] if config.eval_pairs is not None else None)
    if not config.trains_adapter:
        refuse_float16([_dtype(config)])
    check_ref(config.reference, trust_remote_code=config.trust_remote_code)
    return arguments


def _dtype(config: TrainConfig) -> torch.dtype | None:
    """The dtype that weights are loaded in, as far as it is known without the model."""
    if config.dtype != "auto":
        return getattr(torch, config.dtype, None)
    trust = config.trust_remote_code
    return getattr(load_settings(config.model, trust_remote_code=trust), "dtype", None)


def check_evaluation(arguments: TrainingArguments, *, has_pairs: bool) -> None:
    """Refuse to evaluate on nothing.

    Raises:
        UsageError: with the setting that asks for it.
    """
    strategy = str(getattr(arguments.eval_strategy, "value", arguments.eval_strategy))
    asked = "eval_on_start true" if arguments.eval_on_start else f"eval_strategy {strategy}"
    if not has_pairs and (strategy != "no" or arguments.eval_on_start):
        raise UsageError(
            "there is nothing to evaluate on", received=asked, remedy="pass --eval-pairs"
        )


def check_apart(config: TrainConfig) -> None:
    """Refuse to write over what the run starts from: it could not be resumed.

    Raises:
        UsageError: the run directory is the model's, the adapter's or the reference's.
    """
    run = Path(config.output).resolve()
    named = (("model", config.model), ("adapter", config.adapter), ("ref", config.reference.value))
    for key, name in named:
        if name and Path(name).resolve() == run:
            raise UsageError(
                f"the run directory is the {key} that the run starts from",
                received=config.output,
                remedy="name another with --output",
            )


def step_tokens(config: TrainConfig, device: str) -> int | None:
    """Return the most tokens of a part, None for no limit.

    Args:
        config: of the run; a loss that compares pairs of a batch has no limit.
        device: kind of the device, which decides "auto".
    """
    if config.mix.coupled:
        return None
    if config.tokens_per_step == "auto":
        return _CPU_TOKENS if device == "cpu" else _GPU_TOKENS
    return config.tokens_per_step


def settled(resolved: Resolved, device: str, saved: JsonObject | None = None) -> Resolved:
    """Return the configuration with `tokens_per_step` in tokens, as it is written down.

    Args:
        resolved: with "auto", perhaps.
        device: kind of the device.
        saved: the configuration of the run that is resumed: "auto" goes on with its value, also
            on another device.
    """
    config = resolved.config
    if config.tokens_per_step != "auto":
        return resolved
    key = "tokens_per_step"
    tokens = saved[key] if saved else step_tokens(config, device)
    origin = "default, from the run that is resumed" if saved else f"default on {device}"
    origins = {**resolved.origins, key: origin}
    return replace(resolved, config=replace(config, tokens_per_step=tokens), origins=origins)


def check_ref(ref: Ref, *, trust_remote_code: bool = False) -> None:
    """Refuse a reference that is not there; no weight is read.

    Raises:
        UsageError: there is no such model, adapter or file, or the model is an adapter.
    """
    if ref.kind == "model":
        load_settings(ref.value, trust_remote_code=trust_remote_code)
    elif ref.kind == "adapter":
        load_adapter_settings(ref.value)
    elif ref.kind == "cache" and not Path(ref.value).is_file():
        raise UsageError(
            "there is no such reference cache",
            received=ref.value,
            remedy="leave --ref out to compute the reference anew",
        )
