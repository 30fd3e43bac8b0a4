"""What is not finite is found before it reaches the weights, and again before they are written."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback

from clairkit.errors import ResourceError

_REMEDY = "lower learning_rate, train in float32 or bfloat16, or leave these pairs out"


class FiniteGradients(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Stops before a step whose gradient is not finite; `ids` are the pairs since the last one."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def on_pre_optimizer_step(
        self, args: Any, _state: Any, _control: Any, model: Any = None, **_: Any
    ) -> None:
        """Called by the Trainer before each step. In float16 its scaler skips such a step."""
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if not args.fp16 and not math.isfinite(float(nn.utils.get_total_norm(gradients))):
            raise not_finite("the gradient is not finite", self.ids)
        self.ids.clear()


def refuse_weights_not_finite(model: nn.Module) -> None:
    """Refuse to write a model in which a number is not finite.

    Raises:
        ResourceError: with the first parameter's name.
    """
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point():
            largest = torch.linalg.vector_norm(parameter.detach(), math.inf)
            if not math.isfinite(float(largest)):
                raise not_finite(f"{name} is not finite: nothing was written", [])


def not_finite(problem: str, ids: list[str]) -> ResourceError:
    """Return the error, with the pairs at fault as far as they are known."""
    return ResourceError(problem + (f"; pairs {', '.join(ids)}" if ids else ""), remedy=_REMEDY)
