"""The autograd function over the schedule of products, and what it returns beside log-probs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clairkit.kernels.options import HeadOptions
from clairkit.kernels.tiled import (
    Found,
    Head,
    Kept,
    Rows,
    backward_pass,
    forward_pass,
    leave,
    room_to_keep,
    with_target_logits,
)
from clairkit.kernels.tiles import TorchTiles


def tiled_logps(
    tiles: Callable[[], TorchTiles], hidden: Tensor, weight: Tensor, targets: Tensor,
    bias: Tensor | None, options: HeadOptions,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Return (log-probs [N],) or, with statistics, (log-probs, entropy, hits, mean logits)."""
    inputs = (hidden, weight) if bias is None else (hidden, weight, bias)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        found: tuple[Tensor, ...] = TiledLogps.apply(  # type: ignore[no-untyped-call]
            hidden, weight, bias, targets, options, tiles
        )
        return found
    head = Head(weight, bias, options, tiles(), hidden.dtype)
    rows = with_target_logits(hidden, targets, head)
    outputs = _outputs(rows, forward_pass(rows, head, want_gradient=False)[0], len(weight))
    head.tiles.end()
    return outputs


def _outputs(rows: Rows, found: Found, vocabulary: int) -> tuple[Tensor, ...]:
    """Return what the op returns, of a forward pass."""
    sums = found.sums
    if sums is None or sums.weighted is None or sums.logits is None or sums.largest is None:
        return (found.logps,)
    gap = rows.logit - found.anchor
    mean_exponent = (sums.weighted + torch.exp(gap) * gap) * found.inverse
    entropy = (-torch.log(found.inverse) - mean_exponent).clamp_(min=0)
    return found.logps, entropy, rows.logit >= sums.largest, (sums.logits + rows.logit) / vocabulary


class TiledLogps(torch.autograd.Function):
    """`(hidden [N, D], weight [V, D], bias [V] or None, targets [N]) -> (log-probs [N], ...)`."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor,
        options: HeadOptions, tiles: Callable[[], TorchTiles],
    ) -> tuple[Tensor, ...]:  # fmt: skip
        head = Head(weight, bias, options, tiles(), hidden.dtype)
        ctx.frozen = not (ctx.needs_input_grad[1] or ctx.needs_input_grad[2])
        kept = None if ctx.frozen else room_to_keep(hidden, head)
        rows = with_target_logits(hidden, targets, head)
        found, gradient = forward_pass(rows, head, want_gradient=ctx.frozen, kept=kept)
        head.tiles.end()
        if ctx.frozen:
            ctx.tiles = tiles
            ctx.save_for_backward(gradient)
        else:
            ctx.options, ctx.tiles, ctx.again = options, tiles, False
            state = found.logps, found.anchor, found.inverse
            # `data`: another pass may write there after the backward of this one
            memory, ctx.width = (None, 0) if kept is None else (kept.memory.data, kept.width)
            ctx.save_for_backward(hidden, weight, bias, targets, memory, *state)
        logps, *statistics = _outputs(rows, found, len(weight))
        ctx.mark_non_differentiable(*statistics)
        return logps, *statistics

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coefficients: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.frozen:
            (gradient,) = ctx.saved_tensors
            d_hidden = torch.empty_like(gradient)
            ctx.tiles().combine(d_hidden, coefficients, gradient)
            return d_hidden, None, None, None, None, None
        hidden, weight, bias, targets, memory, *state = ctx.saved_tensors
        head = Head(weight, bias, ctx.options, ctx.tiles(), hidden.dtype)
        kept = None if memory is None or ctx.again else Kept(memory, len(hidden), ctx.width)
        ctx.again = True  # of a graph that is retained: what was kept has been left to others
        found = Found(*state)
        # A backward called under autocast would round the products.
        with torch.autocast(hidden.device.type, enabled=False):
            gradients = backward_pass(
                (hidden, targets), head, found, coefficients, kept, ctx.needs_input_grad[:3]
            )
        head.tiles.end()
        if kept is not None:
            leave(kept)
        return *gradients, None, None, None
