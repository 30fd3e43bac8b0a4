"""Check the ranges of the Trainer's numbers, most of which transformers takes without a word."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from clairkit.errors import UsageError


def fits(value: object, hint: Any) -> bool:
    """Return whether a value as YAML has it is of an annotated type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is Literal:
        return value in args
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is not None and issubclass(origin, Sequence):
        return isinstance(value, list | tuple) and all(fits(item, args[0]) for item in value)
    return isinstance(value, dict if origin is not None else hint)


def type_name(hint: Any) -> str:
    """Return an annotated type as a message names it."""
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    text = str(hint) if typing.get_origin(hint) else getattr(hint, "__name__", str(hint))
    return text.replace("typing.", "").replace("collections.abc.", "")


_ABOVE_0 = (
    "num_train_epochs",
    "logging_steps",
    "eval_steps",
    "save_steps",
    "save_total_limit",
    "eval_accumulation_steps",
    "dataloader_prefetch_factor",
    "ddp_timeout",
)
_AT_LEAST_0 = (
    "learning_rate",
    "weight_decay",
    "max_grad_norm",
    "warmup_steps",
    "adam_epsilon",
    "eval_delay",
    "dataloader_num_workers",
)
_BELOW_1 = ("adam_beta1", "adam_beta2")


def check_numbers(values: Mapping[str, object]) -> None:
    """Refuse numbers that no run can have.

    Raises:
        UsageError: with the key, the value and the range.
    """
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{key} must be a finite number", received=value)
        if key in _ABOVE_0 and value <= 0:
            raise UsageError(f"{key} must be above 0", received=value)
        if key in _AT_LEAST_0 and value < 0:
            raise UsageError(f"{key} must be at least 0", received=value)
        if key in _BELOW_1 and not 0 <= value < 1:
            raise UsageError(f"{key} must lie in [0, 1)", received=value)
        if key == "max_steps" and value < 1 and value != -1:
            remedy = "leave it out to train for num_train_epochs"
            raise UsageError("max_steps must be at least 1", received=value, remedy=remedy)
