"""Head and loss on a tile: from hidden states, or products, to exponentials and their sums.

Shapes: T tokens, C vocabulary columns of the tile, D hidden size, S programs that share the columns
of a token; [t], [c] are those of one block. `clairkit.kernels.tiles` says what is computed. Each
program writes its own sums [S, T], to be added up afterwards: no atomics, the same bits each time.
"""

import triton
import triton.language as tl


@triton.jit
def _tanh(x):
    """Return (tanh, 1 - tanh^2), both to a few parts in 10^7 wherever x lies."""
    tail = tl.exp(-2.0 * tl.abs(x))  # in (0, 1]: nothing overflows
    inverse = 1.0 / (1.0 + tail)
    far = (1.0 - tail) * inverse
    # near 0, 1 - tail would lose its digits; the first term left out is below 1e-8
    square = x * x
    near = -17.0 / 315 + square * (62.0 / 2835)
    near = 1.0 + square * (-1.0 / 3 + square * (2.0 / 15 + square * near))
    value = tl.where(tl.abs(x) < 0.25, x * near, tl.where(x < 0, -far, far))
    return value, 4.0 * tail * inverse * inverse


@triton.jit
def _logits(z, bias, place, softcap, logit_scale):
    """Return (logits, dlogit/dz) of float32 products z [t, c]; bias and softcap may be None."""
    if bias is not None:
        z += tl.load(bias + place)[None, :]
    if softcap is not None:
        capped, slope = _tanh(z / softcap)
        logits, slope = capped * (softcap * logit_scale), slope * logit_scale
    else:
        logits, slope = z * logit_scale, logit_scale
    return logits, slope


@triton.jit
def _halves(x):
    """Return the left and the right columns of x [t, c]."""
    return x.reshape(x.shape[0], 2, x.shape[1] // 2).permute(0, 2, 1).split()


@triton.jit
def _parts(x, PARTS: tl.constexpr):
    """Return x [t, c] cut into PARTS blocks of columns."""
    if PARTS == 1:
        parts = (x,)
    else:
        left, right = _halves(x)
        parts = _parts(left, PARTS // 2) + _parts(right, PARTS // 2)
    return parts


@triton.jit
def _zeros(BLOCK_T: tl.constexpr):
    """Return the sums over no column: of e, of e * x, of logits, and the largest logit."""
    zeros = tl.zeros((BLOCK_T,), tl.float32)
    return zeros, zeros, zeros, tl.full((BLOCK_T,), float("-inf"), tl.float32)


@triton.jit
def _add(state, logits, x, e, counted, STATISTICS: tl.constexpr):
    """Return the four sums with those over more columns; the last three when they are wanted."""
    sums, weighted, total, largest = state
    sums += tl.sum(e, axis=1)
    if STATISTICS:
        weighted += tl.sum(e * tl.where(e == 0, 0.0, x), axis=1)  # 0 * -inf is 0 here
        total += tl.sum(tl.where(counted, logits, 0.0), axis=1)
        here = tl.max(tl.where(counted, logits, float("-inf")), axis=1)
        largest = tl.maximum(largest, here)
    return sums, weighted, total, largest


@triton.jit
def _store_sums(state, offsets, valid, sums, weighted, total, largest):
    if sums is not None:
        tl.store(sums + offsets, state[0], mask=valid)
    if weighted is not None:
        tl.store(weighted + offsets, state[1], mask=valid)
        tl.store(total + offsets, state[2], mask=valid)
        # a maximum passes NaN over, a sum does not
        tl.store(largest + offsets, tl.where(state[2] != state[2], state[2], state[3]), mask=valid)


@triton.jit
def _epilogue(
    z,  # [t, c] float32 products
    state,  # the sums so far
    lane,  # [t], from the first token of the block
    valid,  # [t] bool
    place,  # [c], from the first column of the block
    columns,  # how many there are from there on
    bias,  # at the first column; or None
    anchor,  # [t]
    target,  # [t], from the first column
    factors,  # at the first token; or None
    own,  # likewise
    tile,  # at the first element; or None
    tile_stride,
    softcap,
    logit_scale,
    STATISTICS: tl.constexpr,
    MAX_EXPONENT: tl.constexpr,
):
    """Write a block of the tile and return the sums with it."""
    logits, slope = _logits(z, bias, tl.minimum(place, columns - 1), softcap, logit_scale)
    inside = place < columns
    at_target = place[None, :] == target[:, None]
    counted = inside[None, :] & ~at_target
    x = logits - anchor[:, None]
    x = tl.where(x > MAX_EXPONENT, MAX_EXPONENT, x)  # NaN stays NaN
    x = tl.where(counted, x, float("-inf"))
    e = tl.exp(x)
    state = _add(state, logits, x, e, counted, STATISTICS)
    if tile is not None:
        if factors is not None:
            e *= tl.load(factors + lane, mask=valid, other=0.0)[:, None]
        if own is not None:
            e = tl.where(at_target, tl.load(own + lane, mask=valid, other=0.0)[:, None], e)
        values = (e * slope).to(tile.dtype.element_ty)
        offsets = lane[:, None] * tile_stride + place[None, :]
        tl.store(tile + offsets, values, mask=valid[:, None] & inside[None, :])
    return state


@triton.jit
def _place(program, token_blocks, splits, GROUP: tl.constexpr):
    """Return (block of tokens, split): GROUP blocks of tokens go through the columns together.

    Programs that run at the same time then share both their rows of hidden and of weight in L2.
    """
    first = program // (GROUP * splits) * GROUP
    height = tl.minimum(token_blocks - first, GROUP)
    inside = program - first * splits
    return first + inside % height, inside // height


@triton.jit
def _shift(vector, first_row):
    """Return a pointer moved on to a block's first row; None for none."""
    if vector is not None:
        vector += first_row
    return vector


@triton.jit
def _product(
    hidden,  # at its first row
    weight,  # likewise
    rows,  # [t], from there
    columns,  # [c]
    size,  # D
    hidden_stride,
    weight_stride,
    BLOCK_D: tl.constexpr,
    EVEN_D: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """Return hidden @ weight.T [t, c], float32."""
    inner = tl.arange(0, BLOCK_D)
    left = hidden + rows[:, None] * hidden_stride + inner[None, :]
    right = weight + columns[:, None] * weight_stride + inner[None, :]
    z = tl.zeros((rows.shape[0], columns.shape[0]), tl.float32)
    for start in range(0, size, BLOCK_D):
        if EVEN_D:
            h, w = tl.load(left), tl.load(right)
        else:
            inside = (inner < size - start)[None, :]
            h, w = tl.load(left, mask=inside, other=0.0), tl.load(right, mask=inside, other=0.0)
        if WIDEN:
            h, w = h.to(tl.float32), w.to(tl.float32)
        z = tl.dot(h, w.T, z)
        left += BLOCK_D
        right += BLOCK_D
    return z


# Alignment of the vectors changes nothing worth another compilation; nor do the numbers named.
_VECTORS = ("bias", "targets", "anchor", "factors", "own")
_NUMBERS = ("tokens", "first_column", "splits")


@triton.jit(do_not_specialize=_NUMBERS, do_not_specialize_on_alignment=_VECTORS)
def head_kernel(
    hidden,  # [T, D] bfloat16 or float16
    weight,  # [C, D]
    bias,  # [C] float32, or None
    targets,  # [T] int64, over the whole vocabulary
    anchor,  # [T] float32
    factors,  # [T] float32, or None: 1
    own,  # [T] float32, or None: 0
    tile,  # [T, C] out, or None
    sums,  # [S, T] float32, out, or None
    weighted,  # [S, T] float32, out, or None; so are the next two
    total,
    largest,
    tokens,  # T
    columns,  # C
    size,  # D
    first_column,
    hidden_stride,
    weight_stride,
    tile_stride,
    softcap,  # or None
    logit_scale,
    splits,  # S, at most the number of blocks of columns
    BLOCK_T: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PARTS: tl.constexpr,  # a block is finished in so many parts: fewer registers at a time
    GROUP: tl.constexpr,
    EVEN_D: tl.constexpr,  # D is a multiple of BLOCK_D
    WIDEN: tl.constexpr,  # for the interpreter, whose product takes bfloat16 for integers
    MAX_EXPONENT: tl.constexpr,
):
    """A block of tokens by a block of columns, or by several in turn; grid (token blocks * S,)."""
    token_block, split = _place(tl.program_id(0), tl.cdiv(tokens, BLOCK_T), splits, GROUP)
    first_row = token_block.to(tl.int64) * BLOCK_T
    lane = tl.arange(0, BLOCK_T)
    valid = lane < tokens - first_row
    # rows and columns past the end repeat the last one: no mask in the inner loop
    row = tl.minimum(lane, (tokens - first_row - 1).to(tl.int32))
    hidden += first_row * hidden_stride
    tile, factors = _shift(tile, first_row * tile_stride), _shift(factors, first_row)
    own = _shift(own, first_row)
    shift = tl.load(anchor + first_row + lane, mask=valid, other=0.0)
    target = tl.load(targets + first_row + lane, mask=valid, other=-1) - first_column
    state = _zeros(BLOCK_T)
    blocks = tl.cdiv(columns, BLOCK_V)
    each = tl.cdiv(blocks, splits)
    first = split.to(tl.int64) * each * BLOCK_V
    for _ in range(0, tl.minimum(each, blocks - split * each)):
        column = tl.minimum(tl.arange(0, BLOCK_V), (columns - first - 1).to(tl.int32))
        z = _product(hidden, weight + first * weight_stride, row, column, size, hidden_stride,
                     weight_stride, BLOCK_D, EVEN_D, WIDEN)  # fmt: skip
        parts = _parts(z, PARTS)
        place = tl.arange(0, BLOCK_V // PARTS)
        for part in tl.static_range(PARTS):
            begin = first + part * (BLOCK_V // PARTS)
            state = _epilogue(
                parts[part], state, lane, valid, place, (columns - begin).to(tl.int32),
                _shift(bias, begin), shift, (target - begin).to(tl.int32), factors, own,
                _shift(tile, begin), tile_stride, softcap, logit_scale, weighted is not None,
                MAX_EXPONENT,
            )  # fmt: skip
        first += BLOCK_V
    offsets = split.to(tl.int64) * tokens + first_row + lane
    _store_sums(state, offsets, valid, sums, weighted, total, largest)


@triton.jit(do_not_specialize=_NUMBERS, do_not_specialize_on_alignment=_VECTORS)
def products_kernel(
    products,  # [T, C], made before; may be the memory of `tile`
    bias,
    targets,
    anchor,
    factors,
    own,
    tile,
    sums,
    weighted,
    total,
    largest,
    tokens,
    columns,
    first_column,
    products_stride,
    tile_stride,
    softcap,
    logit_scale,
    splits,
    BLOCK_T: tl.constexpr,
    BLOCK_V: tl.constexpr,
    MAX_EXPONENT: tl.constexpr,
):
    """As `head_kernel`, from products; grid (token blocks, S)."""
    first_row = tl.program_id(0).to(tl.int64) * BLOCK_T
    split = tl.program_id(1)
    lane = tl.arange(0, BLOCK_T)
    valid = lane < tokens - first_row
    place = tl.arange(0, BLOCK_V)
    products += first_row * products_stride
    tile, factors = _shift(tile, first_row * tile_stride), _shift(factors, first_row)
    own = _shift(own, first_row)
    shift = tl.load(anchor + first_row + lane, mask=valid, other=0.0)
    target = tl.load(targets + first_row + lane, mask=valid, other=-1) - first_column
    state = _zeros(BLOCK_T)
    blocks = tl.cdiv(columns, BLOCK_V)
    each = tl.cdiv(blocks, splits)
    first = split.to(tl.int64) * each * BLOCK_V
    for _ in range(0, tl.minimum(each, blocks - split * each)):
        left = (columns - first).to(tl.int32)
        mask = valid[:, None] & (place < left)[None, :]
        offsets = lane[:, None] * products_stride + place[None, :]
        z = tl.load(products + first + offsets, mask=mask, other=0.0).to(tl.float32)
        state = _epilogue(
            z, state, lane, valid, place, left, _shift(bias, first), shift,
            (target - first).to(tl.int32), factors, own, _shift(tile, first), tile_stride,
            softcap, logit_scale, weighted is not None, MAX_EXPONENT,
        )  # fmt: skip
        first += BLOCK_V
    offsets = split.to(tl.int64) * tokens + first_row + lane
    _store_sums(state, offsets, valid, sums, weighted, total, largest)
