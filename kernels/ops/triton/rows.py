"""Compute products and sums of rows, in one launch where torch takes four or five.

Shapes: T tokens, D hidden size, V vocabulary; [t], [d] are those of one block. Grid (T / BLOCK_T,).
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["tokens"], do_not_specialize_on_alignment=["targets"])
def target_kernel(
    hidden,  # [T, D]
    weight,  # [V, D]
    targets,  # [T] int64
    products,  # [T] float32, out: hidden[t] . weight[targets[t]], products and sum in float32
    tokens,  # T
    size,  # D
    hidden_stride,
    weight_stride,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * BLOCK_T + tl.arange(0, BLOCK_T)
    valid = row < tokens
    target = tl.load(targets + row, mask=valid, other=0)
    left = hidden + row[:, None] * hidden_stride
    right = weight + target[:, None] * weight_stride
    total = tl.zeros((BLOCK_T, BLOCK_D), tl.float32)
    for start in range(0, size, BLOCK_D):
        column = (start + tl.arange(0, BLOCK_D))[None, :]
        inside = valid[:, None] & (column < size)
        h = tl.load(left + column, mask=inside, other=0.0).to(tl.float32)
        w = tl.load(right + column, mask=inside, other=0.0).to(tl.float32)
        total += h * w
    tl.store(products + row, tl.sum(total, axis=1), mask=valid)


@triton.jit(
    do_not_specialize=["tokens"], do_not_specialize_on_alignment=["factors", "index", "shares"]
)
def combine_kernel(
    result,  # [T, D], out: factors[t] * matrix[index[t]] + shares[t] * other[t], rounded once
    factors,  # [T] float32
    matrix,  # [*, D]
    index,  # [T] int64, or None: one row after the other
    shares,  # [T] float32, or None together with `other`
    other,  # [T, D] float32
    tokens,  # T
    size,  # D
    result_stride,
    matrix_stride,
    other_stride,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * BLOCK_T + tl.arange(0, BLOCK_T)
    valid = row < tokens
    place = row
    if index is not None:
        place = tl.load(index + row, mask=valid, other=0)
    factor = tl.load(factors + row, mask=valid, other=0.0)[:, None]
    for start in range(0, size, BLOCK_D):
        column = (start + tl.arange(0, BLOCK_D))[None, :]
        inside = valid[:, None] & (column < size)
        x = tl.load(matrix + place[:, None] * matrix_stride + column, mask=inside, other=0.0)
        x = x.to(tl.float32) * factor
        if other is not None:
            y = tl.load(other + row[:, None] * other_stride + column, mask=inside, other=0.0)
            x += y * tl.load(shares + row, mask=valid, other=0.0)[:, None]
        values = x.to(result.dtype.element_ty)
        tl.store(result + row[:, None] * result_stride + column, values, mask=inside)
