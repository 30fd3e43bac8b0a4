"""Packed attention on a GPU: FlexAttention with a mask of blocks made from the layout.

The [T, T] mask is never made: blocks of tokens are sorted on the host into those that are seen in
full, those in part, for which the mask is asked, and those that are not seen at all.

Checked on a CPU, in FlexAttention's eager form; it has not run on a GPU.

Shapes: T tokens, N blocks of tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from clairkit.batching.pack import PackedLayout
from clairkit.errors import UsageError
from clairkit.logprobs.scores import Scores

BLOCK = 128  # tokens of a block, FlexAttention's default


def flex_packed(
    query: Tensor, key: Tensor, value: Tensor, layout: PackedLayout, scores: Scores
) -> Tensor:
    """Return what `packed_attention` returns, [1, T, H, d].

    Args:
        query: [1, T, H, d].
        key: [1, T, K, d].
        value: [1, T, K, d].
        layout: which tokens see which.
        scores: what attention does to its scores: scale, softcap, window.

    Raises:
        UsageError: attention has dropout, which FlexAttention does not know.
    """
    if scores.dropout:
        raise UsageError(
            "attention dropout does not go with packed sequences on a GPU",
            received=scores.dropout,
            remedy="set disable_dropout: true or padding_free: false",
        )
    run: Any = _compiled() if query.is_cuda else flex_attention
    out: Tensor = run(
        query,
        key,
        value,
        score_mod=None if scores.softcap is None else _softcap(scores.softcap),
        block_mask=block_mask(layout, scores.window, query.device),
        scale=scores.scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out.transpose(1, 2).contiguous()


def block_mask(layout: PackedLayout, window: int | None, device: torch.device) -> BlockMask:
    """Return the layout's mask, made at its first use and kept with the layout."""
    if (device, window) not in layout.cache:
        layout.cache[device, window] = _block_mask(layout, window, device)
    mask: BlockMask = layout.cache[device, window]
    return mask


def seen_blocks(layout: PackedLayout, window: int | None) -> tuple[Tensor, Tensor]:
    """Return which blocks are seen in part and which in full, each [N, N] bool on the host.

    A block that is seen in full at the bounds of its parts' positions is full; no block of which a
    token is seen is missing.
    """
    count = -(-layout.length // BLOCK)
    touched = torch.zeros(count, count, dtype=torch.bool)
    full = torch.zeros(count, count, dtype=torch.bool)
    for tree in layout.trees:
        prefix = (tree.start, tree.start + tree.prefix)
        branches = [(start, start + length) for start, length in tree.branches if length]
        for rows in (prefix, *branches):
            touched[_cover(*rows), _cover(*rows)] = True
            full[_inside(*rows), _inside(*rows)] = True
        for rows in branches:
            touched[_cover(*rows), _cover(*prefix)] = True
            full[_inside(*rows), _inside(*prefix)] = True
    touched = touched.tril()
    full = full.tril(-1)
    if window is not None:
        positions = layout.position_ids()[0]
        blocks = torch.nn.functional.pad(positions, (0, count * BLOCK - len(positions)))
        blocks[len(positions) :] = positions[-1]
        low, high = blocks.view(count, BLOCK).aminmax(dim=1)
        touched &= low[:, None] - high[None, :] < window
        full &= high[:, None] - low[None, :] < window
    return touched & ~full, full


def _cover(start: int, end: int) -> slice:
    return slice(start // BLOCK, -(-end // BLOCK))


def _inside(start: int, end: int) -> slice:
    return slice(-(-start // BLOCK), max(-(-start // BLOCK), end // BLOCK))


def _block_mask(layout: PackedLayout, window: int | None, device: torch.device) -> BlockMask:
    part, full = seen_blocks(layout, window)
    part_count, part_index, full_count, full_index = (
        tensor[None, None].to(device) for mask in (part, full) for tensor in _ordered(mask)
    )
    return BlockMask.from_kv_blocks(
        part_count,
        part_index,
        full_count,
        full_index,
        BLOCK_SIZE=BLOCK,
        mask_mod=_mask_of_tokens(layout, window, device),
        seq_lengths=(layout.length, layout.length),
    )


def _ordered(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many blocks each row sees, and their numbers before all others'."""
    order = mask.to(torch.int32).argsort(dim=1, descending=True, stable=True)
    return mask.sum(1, dtype=torch.int32), order.to(torch.int32)


def _mask_of_tokens(
    layout: PackedLayout, window: int | None, device: torch.device
) -> Callable[..., Tensor]:
    """Return whether query q sees key k, for FlexAttention."""
    tree_of: list[int] = []
    branch_of: list[int] = []  # 0 in a prefix
    for number, (_, prefix, chosen, rejected) in enumerate(layout.trees):
        tree_of += [number] * (prefix + chosen + rejected)
        branch_of += [0] * prefix + [1] * chosen + [2] * rejected
    tree, branch = (torch.tensor(numbers, device=device) for numbers in (tree_of, branch_of))
    position = layout.position_ids()[0].to(device)

    def mask(_batch: Any, _head: Any, q: Tensor, k: Tensor) -> Tensor:
        joined = (branch[k] == 0) | (branch[k] == branch[q])
        seen = (q >= k) & (tree[q] == tree[k]) & joined
        return seen if window is None else seen & (position[q] - position[k] < window)

    return mask


@functools.cache
def _softcap(cap: float) -> Callable[..., Tensor]:
    def capped(score: Tensor, *_place: Any) -> Tensor:
        return cap * torch.tanh(score / cap)

    return capped


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    run: Callable[..., Tensor] = torch.compile(flex_attention)
    return run
