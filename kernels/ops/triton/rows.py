"""Products and sums of single rows, in one launch where torch takes four or five.

Shapes: T tokens, D hidden size, V vocabulary. Grid (T,): one program a row.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize_on_alignment=("targets",))
def target_kernel(
    hidden,  # [T, D]
    weight,  # [V, D]
    targets,  # [T] int64
    products,  # [T] float32, out: hidden[t] . weight[targets[t]], products and sum in float32
    size,  # D
    hidden_stride,
    weight_stride,
    BLOCK_D: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    left = hidden + row * hidden_stride
    right = weight + tl.load(targets + row) * weight_stride
    total = tl.zeros((BLOCK_D,), tl.float32)
    for start in range(0, size, BLOCK_D):
        column = start + tl.arange(0, BLOCK_D)
        inside = column < size
        h = tl.load(left + column, mask=inside, other=0.0).to(tl.float32)
        w = tl.load(right + column, mask=inside, other=0.0).to(tl.float32)
        total += h * w
    tl.store(products + row, tl.sum(total, axis=0))


@triton.jit(do_not_specialize_on_alignment=("factors", "index", "shares"))
def combine_kernel(
    result,  # [T, D], out: factors[t] * matrix[index[t]] + shares[t] * other[t], rounded once
    factors,  # [T] float32
    matrix,  # [*, D]
    index,  # [T] int64, or None: one row after the other
    shares,  # [T] float32, or None together with `other`
    other,  # [T, D] float32
    size,  # D
    result_stride,
    matrix_stride,
    other_stride,
    BLOCK_D: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    place = row
    if index is not None:
        place = tl.load(index + row)
    factor = tl.load(factors + row)
    for start in range(0, size, BLOCK_D):
        column = start + tl.arange(0, BLOCK_D)
        inside = column < size
        x = tl.load(matrix + place * matrix_stride + column, mask=inside, other=0.0)
        x = x.to(tl.float32) * factor
        if other is not None:
            y = tl.load(other + row * other_stride + column, mask=inside, other=0.0)
            x += y * tl.load(shares + row)
        values = x.to(result.dtype.element_ty)
        tl.store(result + row * result_stride + column, values, mask=inside)
