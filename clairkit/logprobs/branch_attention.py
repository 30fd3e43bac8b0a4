"""Compute attention of a branch to its prefix and itself, without a mask, on a CPU.

Each piece's softmax is over its own keys; their log-sum-exps say what each piece's share of the
common softmax is. Given the common output and log-sum-exp, the backward of either piece is that of
attention to all keys (FlashAttention's, arXiv 2205.14135, section 3.1).

Shapes: R rows of the branch, P of the prefix, H heads, K key heads, d head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def branch_attention(
    query: Tensor, prefix: tuple[Tensor, Tensor], branch: tuple[Tensor, Tensor], scale: float
) -> Tensor:
    """Return [1, H, R, d].

    Args:
        query: [1, H, R, d], on a CPU.
        prefix: keys and values that every row sees, each [1, K, P, d].
        branch: keys and values of the rows themselves, each [1, K, R, d].
        scale: of the products.
    """
    out: Tensor = _BranchAttention.apply(  # type: ignore[no-untyped-call]
        query, *prefix, *branch, scale
    )
    return out


class _BranchAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        prefix_keys: Tensor,
        prefix_values: Tensor,
        keys: Tensor,
        values: Tensor,
        scale: float,
    ) -> Tensor:
        far, far_sum = _forward(query, prefix_keys, prefix_values, 0.0, False, scale=scale)
        near, near_sum = _forward(query, keys, values, 0.0, True, scale=scale)
        log_sum = torch.logaddexp(far_sum, near_sum)
        share = torch.exp(far_sum - log_sum)[..., None]
        out = torch.lerp(near.to(share.dtype), far.to(share.dtype), share).to(query.dtype)
        ctx.save_for_backward(query, prefix_keys, prefix_values, keys, values, out, log_sum)
        ctx.scale = scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, prefix_keys, prefix_values, keys, values, out, log_sum = ctx.saved_tensors
        common = {"scale": ctx.scale}
        far, far_keys, far_values = _backward(
            gradient, query, prefix_keys, prefix_values, out, log_sum, 0.0, False, **common
        )
        near, near_keys, near_values = _backward(
            gradient, query, keys, values, out, log_sum, 0.0, True, **common
        )
        return far + near, far_keys, far_values, near_keys, near_values, None
