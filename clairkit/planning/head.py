"""What the tiled head allocates, without its products.

Shapes: N scored tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clairkit.kernels.options import budget_bytes
from clairkit.kernels.tiles import TorchTiles
from clairkit.planning.trace import MemoryTrace

HEAD = "head"


@dataclass(frozen=True)
class HeadPlan:
    """How the head is run, and who watches."""

    trace: MemoryTrace
    memory_budget: int | str | None


def head_logps(hidden: Tensor, weight: Tensor, plan: HeadPlan) -> Tensor:
    """Return float32 [N] in place of log-probs; forward and backward allocate what they would."""
    found: Tensor = _Head.apply(hidden, weight, plan)  # type: ignore[no-untyped-call]
    return found


def kept_elements(tokens: int, size: int, vocabulary: int, budget: int) -> int:
    """Return how much of a trained head is kept between its passes: tokens times columns.

    Args:
        tokens: N.
        size: bytes of an element.
        vocabulary: V.
        budget: bytes.
    """
    return min(budget // max(tokens * size, 1), vocabulary) * tokens


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, plan: HeadPlan) -> Tensor:
        ctx.frozen, ctx.plan = not ctx.needs_input_grad[1], plan
        wide = torch.promote_types(hidden.dtype, torch.float32)
        with plan.trace.kind(HEAD):
            logps = hidden.new_empty(len(hidden), dtype=wide)
            held: tuple[Tensor, ...] = ()
            if ctx.frozen and ctx.needs_input_grad[0]:
                held = (hidden, torch.empty_like(hidden))
            elif not ctx.frozen:
                budget = budget_bytes(plan.memory_budget, hidden.device)
                count = kept_elements(len(hidden), hidden.element_size(), len(weight), budget)
                held = (hidden, weight, hidden.new_empty(count))
            tokens, columns = TorchTiles().shape(
                len(hidden), hidden.dtype, all_tokens=not ctx.frozen
            )
            _tile = hidden.new_empty(tokens * min(columns, len(weight)))
            _total = hidden.new_empty((tokens, hidden.shape[1]), dtype=wide)
        ctx.save_for_backward(*held)
        return logps

    @staticmethod
    def backward(ctx: Any, coefficients: Tensor) -> tuple[Tensor | None, ...]:
        with ctx.plan.trace.kind(HEAD):
            if ctx.frozen:
                return torch.empty_like(ctx.saved_tensors[1]), None, None
            hidden, weight, _ = ctx.saved_tensors
            wide = torch.promote_types(hidden.dtype, torch.float32)
            tokens, columns = TorchTiles().shape(len(hidden), hidden.dtype, all_tokens=True)
            _tile = hidden.new_empty(tokens * min(columns, len(weight)))
            _scaled = torch.empty_like(hidden)
            total = torch.zeros_like(hidden, dtype=wide) if ctx.needs_input_grad[0] else None
            return None if total is None else total.to(hidden.dtype), torch.empty_like(weight), None
