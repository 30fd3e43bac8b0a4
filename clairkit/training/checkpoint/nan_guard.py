"""Stop training on NaN or Inf gradients, and refuse to write weights that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainingArguments

from clairkit.errors import ResourceError

_REMEDY = "lower learning_rate, train in float32 or bfloat16, or leave these pairs out"


class FiniteGradients(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Stops before a step whose gradient is not finite; `ids` are the pairs since the last one."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def on_pre_optimizer_step(
        self, args: TrainingArguments, *_: object, model: nn.Module, **__: object
    ) -> None:
        """Called by the Trainer before each step. In float16 its scaler skips such a step.

        Raises:
            ResourceError: the gradient is not finite; names the rows of the step.
        """
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if not args.fp16:
            finite = math.isfinite(float(nn.utils.get_total_norm(map(local_part, gradients))))
            if not _in_all_processes(finite, gradients):
                raise not_finite("the gradient is not finite", self.ids)
        self.ids.clear()


def refuse_weights_not_finite(model: nn.Module) -> None:
    """Refuse to write a model in which a number is not finite, in any process.

    Raises:
        ResourceError: with the first parameter's name, where it is known.
    """
    weights = {name: p for name, p in model.named_parameters() if p.is_floating_point()}
    bad = next((name for name, weight in weights.items() if not _is_finite(weight)), None)
    if not _in_all_processes(bad is None, weights.values()):
        raise not_finite(f"{bad or 'a weight'} is not finite: nothing was written", [])


def not_finite(problem: str, ids: list[str]) -> ResourceError:
    """Return the error, with the pairs at fault as far as they are known."""
    return ResourceError(problem + (f"; pairs {', '.join(ids)}" if ids else ""), remedy=_REMEDY)


@torch.no_grad()
def _is_finite(weight: Tensor) -> bool:
    own = local_part(weight)
    if own.numel() == 0:  # a process may hold no part of a small weight
        return True
    return math.isfinite(float(torch.linalg.vector_norm(own, math.inf)))


def local_part(tensor: Tensor) -> Tensor:
    """Return what this process holds of a tensor, all of it unless FSDP cut it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _in_all_processes(finite: bool, tensors: Iterable[Tensor]) -> bool:
    """Return whether all is finite in every process that holds a part."""
    cut = next((local_part(tensor) for tensor in tensors if isinstance(tensor, DTensor)), None)
    if cut is None:
        return finite
    answer = torch.tensor([int(finite)], device=cut.device)
    distributed.all_reduce(answer, op=distributed.ReduceOp.MIN)
    return bool(answer.item())
