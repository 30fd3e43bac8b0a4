"""Attention over packed sequences, as an attention implementation of transformers.

A packed forward brings a `PackedLayout` as the keyword `layout`, which transformers' layers pass
down to attention; so it is there when a checkpointed layer is run again, too. Attention goes tree
by tree on a CPU and through FlexAttention on a GPU. Without a layout the model's former
implementation does the work: padded batches and generation are what they were.

Shapes: H heads, K key heads, T tokens, d head size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from clairkit.batching.pack import PackedLayout, Tree
from clairkit.errors import UsageError
from clairkit.logprobs.scores import Scores

# Implementations that can take over what has no layout.
_FORMER = ("sdpa", "eager")
_PREFIX = "clairkit_packed_"
# Arguments of transformers' attention that change scores in ways that are not known here.
_UNKNOWN_SCORES = ("s_aux", "position_bias")
# Queries at once where a mask is needed: its [rows, T] stay small beside [T, T].
_ROWS = 256


def packed_implementation(former: str) -> str:
    """Register the implementation that takes `former`'s place; return its name."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    former = former.removeprefix(_PREFIX)
    former = former if former in _FORMER else "sdpa"
    name = _PREFIX + former
    ALL_ATTENTION_FUNCTIONS.register(name, _eager if former == "eager" else _sdpa)
    ALL_MASK_ATTENTION_FUNCTIONS.register(name, ALL_MASK_ATTENTION_FUNCTIONS[former])
    return name


def no_mask(device: torch.device) -> Tensor:
    """Return a mask that transformers takes for a finished one, so that it makes none itself."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)


def _sdpa(module: nn.Module, *states: Tensor, **inputs: Any) -> tuple[Tensor, Tensor | None]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return _attention(sdpa_attention_forward, module, *states, **inputs)


def _eager(module: nn.Module, *states: Tensor, **inputs: Any) -> tuple[Tensor, Tensor | None]:
    # each architecture has an eager attention of its own
    former = sys.modules[type(module).__module__].eager_attention_forward
    return _attention(former, module, *states, **inputs)


def _attention(
    former: Callable[..., tuple[Tensor, Tensor | None]],
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: PackedLayout | None = None,
    **inputs: Any,
) -> tuple[Tensor, Tensor | None]:
    if layout is None:
        return former(module, query, key, value, attention_mask, **inputs)
    _check(module, query, key, attention_mask, layout, inputs)
    device = query.device.type
    if torch.is_autocast_enabled(device):  # as it does for torch's own attention
        dtype = torch.get_autocast_dtype(device)
        query, key, value = (states.to(dtype) for states in (query, key, value))
    scale = inputs.get("scaling")
    scores = Scores(
        query.shape[-1] ** -0.5 if scale is None else scale,
        inputs.get("sliding_window"),
        inputs.get("softcap"),
        inputs.get("dropout", 0.0),
    )
    if query.is_cuda:
        from clairkit.logprobs.flex_attention import flex_packed

        return flex_packed(query, key, value, layout, scores), None
    return packed_attention(query, key, value, layout, scores), None


def _check(
    module: Any,
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    layout: PackedLayout,
    inputs: dict[str, Any],
) -> None:
    """Refuse what attends otherwise than causally within a window.

    Raises:
        UsageError: with what it is.
    """
    config = getattr(module, "config", None)
    types = getattr(config, "layer_types", None)
    place = getattr(module, "layer_idx", None)
    kind = types[place] if types and place is not None else None
    window = inputs.get("sliding_window")
    unknown = [name for name in _UNKNOWN_SCORES if inputs.get(name) is not None]
    if unknown:
        problem = f"scores are changed by {unknown[0]}"
    elif kind not in (None, "full_attention", "sliding_attention"):
        problem = f"a layer is of type {kind}"
    elif kind == "sliding_attention" and window is None:
        problem = "a sliding layer does not tell its window"
    elif getattr(config, "attention_chunk_size", None):
        problem = "attention goes by chunks"
    elif not getattr(module, "is_causal", True) or inputs.get("is_causal") is False:
        problem = "it is not causal"
    elif mask is not None and mask.numel() > 1:
        problem = "the model makes a mask of its own"
    elif not query.shape[2] == key.shape[2] == layout.length or len(query) != 1:
        problem = f"it has {list(key.shape)} keys for {layout.length} packed tokens"
    else:
        return
    raise UsageError(
        f"the attention of {type(module).__name__} can't be packed: {problem}",
        remedy="set padding_free: false",
    )


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: PackedLayout, scores: Scores
) -> Tensor:
    """Return attention [1, T, H, d] tree by tree, without a [T, T] mask or product.

    Args:
        query: [1, H, T, d].
        key: [1, K, T, d], H a multiple of K.
        value: [1, K, T, d].
        layout: of the T tokens.
        scores: how products become scores.
    """
    # split, not narrow: its backward joins gradients where that of narrow fills in zeros
    lengths = [tree.length for tree in layout.trees]
    states = zip(
        *(torch.split(tensor, lengths, dim=2) for tensor in (query, key, value)), strict=True
    )
    pieces = []
    for tree, (q, k, v) in zip(layout.trees, states, strict=True):
        pieces += _tree(q, k, v, tree, scores)
    return torch.cat([piece.transpose(1, 2) for piece in pieces], dim=1)


def _tree(query: Tensor, key: Tensor, value: Tensor, tree: Tree, scores: Scores) -> list[Tensor]:
    """Prefix and chosen branch are one causal sequence; the rejected branch joins the prefix."""
    if not tree.rejected:
        return _rows(query, key, value, scores)
    trunk = tree.prefix + tree.chosen
    (query, queries), (key, keys), (value, values) = (
        torch.split(states, [trunk, tree.rejected], dim=2) for states in (query, key, value)
    )
    prefix = key.narrow(2, 0, tree.prefix), value.narrow(2, 0, tree.prefix)
    pieces = _rows(query, key, value, scores)
    if _needs_no_mask(query, value, tree.prefix + tree.rejected, scores):
        return [*pieces, branch_attention(queries, prefix, (keys, values), scores.scale)]
    keys, values = torch.cat([prefix[0], keys], dim=2), torch.cat([prefix[1], values], dim=2)
    return pieces + _rows(queries, keys, values, scores)


def _needs_no_mask(query: Tensor, value: Tensor, length: int, scores: Scores) -> bool:
    """Tell whether `branch_attention` can do it."""
    plain = scores.softcap is None and not scores.dropout
    wide = scores.window is None or scores.window >= length
    return plain and wide and query.device.type == "cpu" and query.shape[-1] == value.shape[-1]


def _rows(query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> list[Tensor]:
    """Attend from the last rows of a sequence to all of it, a few rows at once where it needs a
    mask. The queries belong to the last positions of the keys."""
    rows, length = query.shape[2], key.shape[2]
    window = scores.window or length
    if rows == length <= window and scores.softcap is None:
        return [_softmax(query, key, value, None, scores)]
    pieces = []
    for start in range(0, rows, _ROWS):
        count = min(_ROWS, rows - start)
        last = length - rows + start + count  # keys that the last of these rows sees
        first = max(0, last - count - window + 1)
        states = (
            query.narrow(2, start, count),
            key.narrow(2, first, last - first),
            value.narrow(2, first, last - first),
        )
        pieces.append(_without_its_mask(*states, window, scores))
    return pieces


def _without_its_mask(
    query: Tensor, key: Tensor, value: Tensor, window: int, scores: Scores
) -> Tensor:
    """Run `_masked` so that its mask, or its products, are made again in backward, not kept: all
    rows' masks together would be a [T, T]."""
    if not torch.is_grad_enabled():
        return _masked(query, key, value, window, scores)
    piece: Tensor = checkpoint(
        _masked,
        query,
        key,
        value,
        window,
        scores,
        use_reentrant=False,
        preserve_rng_state=scores.dropout > 0,
    )
    return piece


def _masked(query: Tensor, key: Tensor, value: Tensor, window: int, scores: Scores) -> Tensor:
    """Attend from the last rows of the keys; return [1, H, rows, d]."""
    rows, length = query.shape[2], key.shape[2]
    places = torch.arange(length - rows, length, device=query.device)[:, None]
    seen = torch.arange(length, device=query.device)
    return _softmax(query, key, value, (seen <= places) & (seen > places - window), scores)


def _softmax(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scores: Scores
) -> Tensor:
    """Return [1, H, rows, d]; no mask means causal (a softcap has one)."""
    if scores.softcap is None or mask is None:
        return functional.scaled_dot_product_attention(
            query,
            key,
            value,
            mask,
            scores.dropout,
            mask is None,
            scale=scores.scale,
            enable_gqa=True,
        )
    groups = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    products = query @ key.transpose(2, 3) * scores.scale
    products = scores.softcap * torch.tanh(products / scores.softcap)
    products = products.masked_fill(~mask, -torch.inf)
    # summed as the models do it: in float32 at least
    shares = products.softmax(-1, torch.promote_types(products.dtype, torch.float32))
    shares = functional.dropout(shares.to(query.dtype), scores.dropout)
    return shares @ value


_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def branch_attention(
    query: Tensor, prefix: tuple[Tensor, Tensor], branch: tuple[Tensor, Tensor], scale: float
) -> Tensor:
    """Attend from a branch of R rows to its prefix (P) and itself, without a mask; [1, H, R, d].

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
    """Each piece's softmax is over its own keys; their log-sum-exps say what its share of the
    common softmax is. Given the common output and log-sum-exp, the backward of either piece is
    that of attention to all keys (FlashAttention's, arXiv 2205.14135, section 3.1)."""

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
