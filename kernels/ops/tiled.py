"""Token log-probs by tiles of logits: the schedule of products, and its autograd function.

Shapes: N tokens (all with a valid target), D hidden size, V vocabulary; a product over all of it
is 2*N*V*D operations, "one NVD" below being half of that. What is spent:

- no gradient: 2 NVD;
- gradient of hidden alone (frozen head): 4 NVD, all in the forward pass. With
  G_n = dlogp_n/dhidden_n the gradient is c_n * G_n for whatever c_n = dloss/dlogp_n comes later;
- gradient of the weight, too: 8 NVD by recomputing the logits, 6 when they may be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clairkit.kernels.options import HeadOptions
from clairkit.kernels.tiles import TileHead, TorchTiles

# Tokens x vocabulary that measured best on CPUs: 8 MB of float32.
TOKEN_TILE, VOCAB_TILE = 1024, 2048
_TILE = TOKEN_TILE * VOCAB_TILE
_MIN_VOCAB_TILE = 256
# Rows whose sum of exponentials passes this are anchored at their maximum instead.
_OVERFLOW = 1e30


@dataclass(frozen=True)
class Head:
    """What stays the same over a pass."""

    weight: Tensor  # [V, D]
    bias: Tensor | None  # [V]
    options: HeadOptions
    tiles: TorchTiles

    dtype: torch.dtype  # of the products; hidden comes in it

    @property
    def sum_dtype(self) -> torch.dtype:
        """The dtype of log-probs and sums: float32, or float64 for float64 inputs."""
        return torch.promote_types(self.dtype, torch.float32)

    def tile_head(self) -> TileHead:
        """Return the element-wise part of the head."""
        return TileHead(self.bias, self.options, self.sum_dtype)

    def rows(self, columns: slice) -> Tensor:
        """Return weight[columns] in the products' dtype."""
        return self.weight[columns].to(self.dtype)


def blocks(size: int, tile: int) -> Iterator[slice]:
    """Cut range(size) into slices of at most `tile`."""
    for start in range(0, size, tile):
        yield slice(start, min(start + tile, size))


def target_logits(hidden: Tensor, targets: Tensor, head: Head) -> tuple[Tensor, Tensor]:
    """Return (logit of each token's target, its slope dlogit/dz), [N], never rounded."""
    logits = hidden.new_empty(len(hidden), dtype=head.sum_dtype)
    slopes = torch.empty_like(logits)
    for rows in blocks(len(hidden), TOKEN_TILE):
        chosen = head.weight[targets[rows]].to(head.sum_dtype)
        z = (hidden[rows].to(head.sum_dtype) * chosen).sum(1)
        bias = None if head.bias is None else head.bias[targets[rows]]
        element = TileHead(bias, head.options, head.sum_dtype)
        logits[rows], slope = element.logits(z, slice(0, len(z)))
        slopes[rows] = 1.0 if slope is None else slope
    return logits, slopes


def maximum(hidden: Tensor, head: Head) -> Tensor:
    """Return the largest logit of each token, [N]."""
    element = head.tile_head()
    best = hidden.new_full((len(hidden),), -torch.inf, dtype=head.sum_dtype)
    for columns in blocks(len(head.weight), VOCAB_TILE):
        z = hidden @ head.rows(columns).T
        best = torch.maximum(best, head.tiles.maximum(z, columns, element))
    return best


def forward_pass(
    hidden: Tensor, targets: Tensor, head: Head, *, want_gradient: bool, kept: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Return (log-probs [N], G [N, D] in hidden's dtype or None)."""
    logps = hidden.new_empty(len(hidden), dtype=head.sum_dtype)
    gradient = torch.empty_like(hidden) if want_gradient else None
    logit, slope = target_logits(hidden, targets, head)
    for rows in blocks(len(hidden), TOKEN_TILE):
        kept_rows = None if kept is None else kept[rows]
        part = Rows(hidden[rows], targets[rows], logit[rows], slope[rows], kept_rows)
        logps[rows], block = _token_block(part, head, part.logit, want_gradient)
        if gradient is not None and block is not None:
            gradient[rows] = block
    _anchor_at_maximum(hidden, targets, head, logps, gradient)
    return logps, gradient


@dataclass(frozen=True)
class Rows:
    """T tokens of a block with their target's logit and its slope."""

    hidden: Tensor  # [T, D]
    targets: Tensor  # [T]
    logit: Tensor  # [T]
    slope: Tensor  # [T]
    kept: Tensor | None = None  # [T, V], products that were made before

    def product(self, weight: Tensor, columns: slice) -> Tensor:
        """Return hidden @ weight.T [T, C], free to be overwritten."""
        return self.hidden @ weight.T if self.kept is None else self.kept[:, columns].clone()


def _token_block(
    rows: Rows, head: Head, anchor: Tensor, want_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Return (log-probs [T], G [T, D]) of one block against `anchor` [T]."""
    element = head.tile_head()
    sums = torch.zeros_like(anchor)
    total = torch.zeros_like(rows.hidden, dtype=head.sum_dtype) if want_gradient else None
    for columns in blocks(len(head.weight), VOCAB_TILE):
        weight = head.rows(columns)
        z = rows.product(weight, columns)
        part, weighted = head.tiles.exponentials(z, columns, rows.targets, anchor, element)
        sums += part
        if total is not None:
            add_product(total, weighted, weight)
    own = torch.exp(rows.logit - anchor)
    logps = (rows.logit - anchor) - torch.log1p(sums + (own - 1))
    if total is None:
        return logps, None
    chosen = head.weight[rows.targets].to(head.sum_dtype)
    scale = 1 / (own + sums)
    return logps, (sums * rows.slope * scale)[:, None] * chosen - total.mul_(scale[:, None])


def _anchor_at_maximum(
    hidden: Tensor, targets: Tensor, head: Head, logps: Tensor, gradient: Tensor | None
) -> None:
    """Redo, in place, the rare rows whose exponentials were cut or overflowed."""
    redo = (~(logps > -torch.log(logps.new_tensor(_OVERFLOW)))).nonzero()[:, 0]
    for chunk in blocks(len(redo), TOKEN_TILE):
        index = redo[chunk]
        part = hidden[index], targets[index]
        rows = Rows(*part, *target_logits(*part, head))
        logps[index], block = _token_block(
            rows, head, torch.maximum(maximum(part[0], head), rows.logit), gradient is not None
        )
        if gradient is not None and block is not None:
            gradient[index] = block.to(gradient.dtype)


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, the sum in total's dtype, the product in right's."""
    if total.dtype == right.dtype:
        total.addmm_(left.to(right.dtype), right)
    else:
        total += left.to(right.dtype) @ right


def full_tiles(tokens: int) -> tuple[int, int]:
    """Return (token tile, vocabulary tile) of a head-training pass: all tokens where it fits."""
    vocab = min(VOCAB_TILE, max(_MIN_VOCAB_TILE, _TILE // max(tokens, 1)))
    return _TILE // vocab, vocab


def backward_pass(
    hidden: Tensor, targets: Tensor, head: Head, logps: Tensor, coefficients: Tensor,
    kept: Tensor | None, wanted: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
    """Return the gradients of hidden [N, D], weight [V, D] and bias [V], given dloss/dlogps [N].

    Those that are not `wanted` are None, and cost neither products nor memory.

    Vocabulary tiles are the outer loop, so that each part of the weight's gradient is written
    once, in the weight's dtype, from a float32 sum.
    """
    element = head.tile_head()
    logit, _ = target_logits(hidden, targets, head)
    lse = logit - logps
    token_tile, vocab_tile = full_tiles(len(hidden))
    d_hidden = torch.zeros_like(hidden, dtype=head.sum_dtype) if wanted[0] else None
    d_weight = torch.empty_like(head.weight) if wanted[1] else None
    d_bias = torch.empty_like(head.bias) if wanted[2] and head.bias is not None else None
    for columns in blocks(len(head.weight), vocab_tile):
        weight = head.rows(columns)
        part = torch.zeros_like(weight, dtype=head.sum_dtype) if wanted[1] else None
        bias_part = lse.new_zeros(len(weight))
        for rows in blocks(len(hidden), token_tile):
            h = hidden[rows]
            z = h @ weight.T if kept is None else kept[rows, columns].clone()
            m = head.tiles.gradient(
                z, columns, targets[rows], lse[rows], logps[rows], coefficients[rows], element
            )
            bias_part += m.sum(0, dtype=bias_part.dtype)
            if part is not None:
                add_product(part, m.T, h)
            if d_hidden is not None:
                add_product(d_hidden[rows], m, weight)
        if d_weight is not None and part is not None:
            d_weight[columns] = part
        if d_bias is not None:
            d_bias[columns] = bias_part
    return None if d_hidden is None else d_hidden.to(hidden.dtype), d_weight, d_bias


class TiledLogps(torch.autograd.Function):
    """`(hidden [N, D], weight [V, D], bias [V] or None, targets [N]) -> log-probs [N]`."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor,
        options: HeadOptions, tiles: TorchTiles,
    ) -> Tensor:  # fmt: skip
        head = Head(weight, bias, options, tiles, hidden.dtype)
        ctx.frozen = not (ctx.needs_input_grad[1] or ctx.needs_input_grad[2])
        if ctx.frozen:
            logps, gradient = forward_pass(hidden, targets, head, want_gradient=True)
            ctx.save_for_backward(gradient)
        else:
            kept = keep_products(hidden, head)
            logps, _ = forward_pass(hidden, targets, head, want_gradient=False, kept=kept)
            ctx.head = options, tiles
            ctx.save_for_backward(hidden, weight, bias, targets, logps, kept)
        return logps

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coefficients: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.frozen:
            (gradient,) = ctx.saved_tensors
            d_hidden = (coefficients[:, None] * gradient).to(gradient.dtype)
            return d_hidden, None, None, None, None, None
        hidden, weight, bias, targets, logps, kept = ctx.saved_tensors
        options, tiles = ctx.head
        head = Head(weight, bias, options, tiles, hidden.dtype)
        # A backward called under autocast would round the products.
        with torch.autocast(hidden.device.type, enabled=False):
            gradients = backward_pass(
                hidden, targets, head, logps, coefficients, kept, ctx.needs_input_grad[:3]
            )
        return *gradients, None, None, None


def keep_products(hidden: Tensor, head: Head) -> Tensor | None:
    """Return hidden @ weight.T [N, V] when the memory budget admits it."""
    size = len(hidden) * len(head.weight) * hidden.element_size()
    budget = head.options.memory_budget
    if budget is None or size > budget:
        return None
    kept = hidden.new_empty(len(hidden), len(head.weight))
    for columns in blocks(len(head.weight), VOCAB_TILE):
        kept[:, columns] = hidden @ head.rows(columns).T
    return kept
