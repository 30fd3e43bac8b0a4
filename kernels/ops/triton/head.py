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
        logits = capped * softcap
        if logit_scale is not None:
            logits, slope = logits * logit_scale, slope * logit_scale
    elif logit_scale is not None:
        logits, slope = z * logit_scale, logit_scale
    else:
        logits, slope = z, 1.0
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
    first_row,  # int64
    lane,  # [t], from there
    valid,  # [t] bool
    place,  # [c], from the first column of the block
    columns,  # how many there are from there on
    begin,  # the first column, int64
    bias,  # at column 0; or None
    anchor,  # [t]
    target,  # [t], from the first column
    own,  # at token 0; or None
    tile,  # at token 0, column 0; or None
    tile_stride,
    softcap,
    logit_scale,
    STATISTICS: tl.constexpr,
    MAX_EXPONENT: tl.constexpr,
):
    """Write a block of the tile and return the sums with it."""
    logits, slope = _logits(z, bias, begin + tl.minimum(place, columns - 1), softcap, logit_scale)
    inside = place < columns
    at_target = place[None, :] == target[:, None]
    counted = inside[None, :] & ~at_target
    x = logits - anchor[:, None]
    x = tl.minimum(x, MAX_EXPONENT, propagate_nan=tl.PropagateNan.ALL)
    x = tl.where(counted, x, float("-inf"))
    e = tl.exp(x)
    state = _add(state, logits, x, e, counted, STATISTICS)
    if tile is not None:
        if own is not None:
            at = tl.load(own + first_row + lane, mask=valid, other=0.0)
            e = tl.where(at_target, at[:, None], e)
        values = (e * slope).to(tile.dtype.element_ty)
        offsets = lane[:, None] * tile_stride + place[None, :]
        inside = valid[:, None] & inside[None, :]
        tl.store(tile + first_row * tile_stride + begin + offsets, values, mask=inside)
    return state


@triton.jit
def _place(number, token_blocks, column_blocks, GROUP: tl.constexpr):
    """Return (block of tokens, of columns): GROUP blocks of tokens go through these together.

    Programs that run at the same time then share both their rows of hidden and of weight in L2.
    """
    first = number // (GROUP * column_blocks) * GROUP
    height = tl.minimum(token_blocks - first, GROUP)
    inside = number - first * column_blocks
    return first + inside % height, inside // height


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


@triton.jit
def _described_product(
    hidden,  # descriptor of blocks [t, d]
    weight,  # of blocks [c, d]
    first_row,
    first_column,
    size,  # D
    BLOCK_T: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_D: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """Return hidden @ weight.T [t, c], float32; what lies past the end counts as 0."""
    z = tl.zeros((BLOCK_T, BLOCK_V), tl.float32)
    for start in range(0, size, BLOCK_D):
        h, w = hidden.load([first_row, start]), weight.load([first_column, start])
        if WIDEN:
            h, w = h.to(tl.float32), w.to(tl.float32)
        z = tl.dot(h, w.T, z)
    return z


# Alignment of the vectors changes nothing worth another compilation; nor do the numbers named.
_VECTORS = ("bias", "targets", "anchor", "own")
_NUMBERS = ("tokens", "first_column", "splits")


@triton.jit(
    do_not_specialize=("tokens", "first_column", "programs"),
    do_not_specialize_on_alignment=_VECTORS,
)
def head_kernel(
    hidden,  # [T, D] bfloat16, or its descriptor
    weight,  # [C, D], or its descriptor
    bias,  # [C] float32, or None
    targets,  # [T] int64, over the whole vocabulary
    anchor,  # [T] float32
    own,  # [T] float32, or None: 0
    tile,  # [T, C] out, or None
    sums,  # [S, T] float32, out, or None; S = blocks of columns
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
    logit_scale,  # or None: 1
    programs,
    BLOCK_T: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PARTS: tl.constexpr,  # a block is finished in so many parts: fewer registers at a time
    GROUP: tl.constexpr,
    DESCRIPTORS: tl.constexpr,  # whether hidden and weight are
    FLATTEN: tl.constexpr,  # a block's factors are fetched while the one before is finished
    EVEN_D: tl.constexpr,  # D is a multiple of BLOCK_D
    WIDEN: tl.constexpr,  # for the interpreter, whose product takes bfloat16 for integers
    MAX_EXPONENT: tl.constexpr,
):
    """Blocks of tokens by blocks of columns, one after the other; grid (programs,)."""
    token_blocks, column_blocks = tl.cdiv(tokens, BLOCK_T), tl.cdiv(columns, BLOCK_V)
    lane = tl.arange(0, BLOCK_T)
    for number in tl.range(
        tl.program_id(0), token_blocks * column_blocks, programs, flatten=FLATTEN
    ):
        token_block, block = _place(number, token_blocks, column_blocks, GROUP)
        first_row, first = token_block.to(tl.int64) * BLOCK_T, block.to(tl.int64) * BLOCK_V
        valid = lane < tokens - first_row
        if DESCRIPTORS:
            z = _described_product(
                hidden,
                weight,
                token_block * BLOCK_T,
                block * BLOCK_V,
                size,
                BLOCK_T,
                BLOCK_V,
                BLOCK_D,
                WIDEN,
            )
        else:
            # rows and columns past the end repeat the last one: no mask in the inner loop
            row = tl.minimum(lane, (tokens - first_row - 1).to(tl.int32))
            column = tl.minimum(tl.arange(0, BLOCK_V), (columns - first - 1).to(tl.int32))
            z = _product(
                hidden + first_row * hidden_stride,
                weight + first * weight_stride,
                row,
                column,
                size,
                hidden_stride,
                weight_stride,
                BLOCK_D,
                EVEN_D,
                WIDEN,
            )
        shift = tl.load(anchor + first_row + lane, mask=valid, other=0.0)
        target = tl.load(targets + first_row + lane, mask=valid, other=-1) - first_column
        state = _zeros(BLOCK_T)
        parts = _parts(z, PARTS)
        place = tl.arange(0, BLOCK_V // PARTS)
        for part in tl.static_range(PARTS):
            begin = first + part * (BLOCK_V // PARTS)
            state = _epilogue(
                parts[part],
                state,
                first_row,
                lane,
                valid,
                place,
                (columns - begin).to(tl.int32),
                begin,
                bias,
                shift,
                (target - begin).to(tl.int32),
                own,
                tile,
                tile_stride,
                softcap,
                logit_scale,
                weighted is not None,
                MAX_EXPONENT,
            )
        offsets = block.to(tl.int64) * tokens + first_row + lane
        _store_sums(state, offsets, valid, sums, weighted, total, largest)


@triton.jit(do_not_specialize=_NUMBERS, do_not_specialize_on_alignment=_VECTORS)
def products_kernel(
    products,  # [T, C], made before; may be the memory of `tile`
    bias,
    targets,
    anchor,
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
            z,
            state,
            first_row,
            lane,
            valid,
            place,
            left,
            first,
            bias,
            shift,
            (target - first).to(tl.int32),
            own,
            tile,
            tile_stride,
            softcap,
            logit_scale,
            weighted is not None,
            MAX_EXPONENT,
        )
        first += BLOCK_V
    offsets = split.to(tl.int64) * tokens + first_row + lane
    _store_sums(state, offsets, valid, sums, weighted, total, largest)
