"""List clairkit's departures from the defaults of transformers.TrainingArguments."""

from __future__ import annotations

import dataclasses
import types
from typing import Any

from clairkit.records.json_types import JsonMapping, JsonObject

ARGUMENT_DEFAULTS: JsonMapping = types.MappingProxyType(
    {
        "learning_rate": 1e-6,  # TRL's for preference losses; 5e-5 moves a model too far
        "logging_steps": 0.02,  # a share of all steps, rounded up: fifty rows, or each step
        "report_to": "none",  # nothing leaves the machine unasked
    }
)
# An adapter is nothing at first and small throughout: it needs, and bears, larger steps.
ADAPTER_LEARNING_RATE = 1e-5
# What steps of evaluation are where they are not given: ten a run.
_EVAL_STEPS = 0.1


def derived_defaults(given: JsonMapping, *, adapter: bool) -> dict[str, tuple[Any, str]]:
    """Return the defaults of a run, those too that follow from other keys.

    Returns:
        Each value with its origin in words.
    """
    found = {key: (value, "default") for key, value in ARGUMENT_DEFAULTS.items()}
    if adapter:
        found["learning_rate"] = ADAPTER_LEARNING_RATE, "default for an adapter"
    if given.get("eval_strategy") == "steps":
        found |= _evaluation_steps(given)
    if given.get("early_stopping_patience") is not None:
        found["metric_for_best_model"] = "loss", "default for early_stopping_patience"
    return {key: value for key, value in found.items() if key not in given}


def _evaluation_steps(given: JsonMapping) -> dict[str, tuple[Any, str]]:
    """How often to evaluate, and to save where the best checkpoint is loaded at the end.

    transformers takes `logging_steps` for the first: by our default, fifty evaluations a run.
    """
    loads_best = given.get("load_best_model_at_end", False)
    together = loads_best and given.get("save_strategy", "steps") == "steps"
    often = given.get("logging_steps", _EVAL_STEPS)
    steps = given.get("eval_steps") or (together and given.get("save_steps")) or often
    found = {"eval_steps": (steps, "default for eval_strategy steps")}
    if together:
        found["save_steps"] = steps, "default for load_best_model_at_end"
    return found


def argument_defaults() -> JsonObject:
    """Return the defaults of transformers.TrainingArguments with clairkit's departures."""
    from transformers import TrainingArguments

    fields = (f for f in dataclasses.fields(TrainingArguments) if f.init)
    plain = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
    return {**plain, **ARGUMENT_DEFAULTS}
