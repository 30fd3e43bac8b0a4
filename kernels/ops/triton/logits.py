"""Log-probs of targets over logits that exist, and their gradient in the logits' own memory.

Rows of V logits stand at `row // inner * outer_stride + row % inner * inner_stride`, so that a
slice of [B, L, V] needs no copy.
"""

import triton
import triton.language as tl


@triton.jit
def _row_start(row, inner, outer_stride, inner_stride):
    return (row // inner).to(tl.int64) * outer_stride + (row % inner).to(tl.int64) * inner_stride


@triton.jit
def gather_kernel(
    logits,  # N rows of V
    targets,  # [N] int64, negative where ignored
    chosen,  # [N] float32, out: the target's logit; 0 where ignored, as the next two
    largest,  # [N] float32, out: the largest logit
    sums,  # [N] float32, out: of exp(logit - largest) without the target's
    vocabulary,  # V
    inner,
    outer_stride,
    inner_stride,
    BLOCK_V: tl.constexpr,
):
    """One program a row, in one pass; grid (N,)."""
    row = tl.program_id(0)
    target = tl.load(targets + row)
    best = -float("inf")
    total = 0.0
    own = 0.0
    if target >= 0:
        start = logits + _row_start(row, inner, outer_stride, inner_stride)
        own = tl.load(start + target).to(tl.float32)
        for first in range(0, vocabulary, BLOCK_V):
            column = first + tl.arange(0, BLOCK_V)
            inside = column < vocabulary
            z = tl.load(start + column, mask=inside, other=float("-inf")).to(tl.float32)
            new = tl.maximum(best, tl.max(z, axis=0))
            shift = tl.where(new == float("-inf"), 0.0, new)  # -inf alone so far: no NaN
            e = tl.where(column == target, 0.0, tl.exp(z - shift))
            total = total * tl.exp(best - shift) + tl.sum(e, axis=0)
            best = new
    else:
        best = 0.0
    tl.store(chosen + row, own)
    tl.store(largest + row, best)
    tl.store(sums + row, total)


@triton.jit
def scatter_kernel(
    logits,
    targets,
    coefficients,  # [N] float32, dloss/dlogp
    largest,
    sums,
    totals,  # [N] float32, sums with the target's exponential
    gradient,  # out; may be the memory of `logits`
    vocabulary,
    inner,
    outer_stride,
    inner_stride,
    gradient_outer_stride,
    gradient_inner_stride,
    BLOCK_V: tl.constexpr,
):
    """Write c * (onehot - p), 0 in rows that are ignored; grid (N, V / BLOCK_V)."""
    row = tl.program_id(0)
    column = tl.program_id(1) * BLOCK_V + tl.arange(0, BLOCK_V)
    inside = column < vocabulary
    target = tl.load(targets + row)
    out = gradient + _row_start(row, inner, gradient_outer_stride, gradient_inner_stride) + column
    if target >= 0:
        start = logits + _row_start(row, inner, outer_stride, inner_stride)
        z = tl.load(start + column, mask=inside, other=float("-inf")).to(tl.float32)
        scale = tl.load(coefficients + row) / tl.load(totals + row)
        p = tl.exp(z - tl.load(largest + row))
        values = scale * tl.where(column == target, tl.load(sums + row), -p)
        tl.store(out, values.to(gradient.dtype.element_ty), mask=inside)
    else:
        zeros = tl.zeros((BLOCK_V,), gradient.dtype.element_ty)
        tl.store(out, zeros, mask=inside)
