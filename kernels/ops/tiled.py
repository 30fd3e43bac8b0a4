"""Token log-probs by tiles of logits: the schedule of products.

Shapes: N tokens (all with a valid target), D hidden size, V vocabulary; a product over all of it
is 2*N*V*D operations, "one NVD" below being half of that. What is spent:

- no gradient: 2 NVD;
- gradient of hidden alone (frozen head): 4 NVD, all in the forward pass. With
  G_n = dlogp_n/dhidden_n the gradient is c_n * G_n for whatever c_n = dloss/dlogp_n comes later;
- gradient of the weight, too: 8 NVD by recomputing the logits, 6 where their exponentials may be
  kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.kernels.buffer_cache import lease
from clairkit.kernels.options import HeadOptions
from clairkit.kernels.tiles import Sums, Tile, TileHead, TorchTiles

# Rows whose sum of exponentials passes this are done again: divided by it, a small coefficient
# times a hidden state is still a normal number.
OVERFLOW = 1e20


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
        return self.weight[columns].to(self.dtype)


@dataclass(frozen=True)
class SavedExp:
    """Exponentials of the first K columns, a contiguous block [N, C] a tile; see `Found.own`."""

    memory: Tensor  # [K * N + 1]; no tile holds the last one
    tokens: int  # N
    width: int  # columns of a tile; of the last one fewer where K is no multiple

    def tile(self, columns: slice) -> Tensor | None:
        """Return the block [N, C] of a tile, or None where it is not kept."""
        if columns.stop * self.tokens >= len(self.memory):
            return None
        block = self.memory[columns.start * self.tokens : columns.stop * self.tokens]
        return block.view(self.tokens, -1)

    def put(self, rows: Tensor, columns: slice, values: Tensor) -> None:
        """Write values [T, C] of some rows, in columns that need not be those of a tile."""
        count = (len(self.memory) - 1) // self.tokens
        first = columns.start - columns.start % self.width
        for start in range(first, min(columns.stop, count), self.width):
            tile = slice(start, min(start + self.width, count))
            block = self.tile(tile)
            low, high = max(tile.start, columns.start), min(tile.stop, columns.stop)
            if block is not None:
                part = values[:, low - columns.start : high - columns.start]
                block[rows, low - start : high - start] = part.to(block.dtype)

    def put_own(self, targets: Tensor, own: Tensor) -> None:
        """Write own [N] into each row's target column, in one launch and without a host sync."""
        count = (len(self.memory) - 1) // self.tokens
        start = targets - targets % self.width
        row = torch.arange(self.tokens, device=targets.device)
        place = start * self.tokens + row * (count - start).clamp_(max=self.width)
        place += targets - start
        place = torch.where(targets < count, place, len(self.memory) - 1)
        self.memory.index_put_((place,), own.to(self.memory.dtype))


@dataclass(frozen=True)
class Rows:
    """N tokens with their target's logit and its slope dlogit/dproduct, never rounded."""

    hidden: Tensor  # [N, D]
    targets: Tensor  # [N]
    logit: Tensor  # [N]
    slope: Tensor  # [N]

    def part(self, rows: slice | Tensor) -> Rows:
        return Rows(self.hidden[rows], self.targets[rows], self.logit[rows], self.slope[rows])


@dataclass(frozen=True)
class ForwardResult:
    """What a forward pass finds for each token, each [N]."""

    logps: Tensor
    anchor: Tensor
    inverse: Tensor  # 1 / sum of exp(logit - anchor) over the vocabulary
    statistics: tuple[Tensor, ...] = ()  # entropy, hits, mean logits, where they are wanted

    @classmethod
    def empty(cls, like: Tensor, *, statistics: bool) -> ForwardResult:
        """Return room for the rows of `like` [N]."""
        kinds = (like.dtype, torch.bool, like.dtype) if statistics else ()
        more = tuple(torch.empty_like(like, dtype=kind) for kind in kinds)
        return cls(torch.empty_like(like), torch.empty_like(like), torch.empty_like(like), more)

    def own(self) -> Tensor:
        """What stands in a target's column so that all columns share the factor -inverse.

        With e = exp(logit - anchor), dlogp/dlogit is -inverse * e, and inverse * (the other
        columns' sum) for the target.
        """
        return torch.expm1(self.logps) / self.inverse

    def put(self, rows: slice | Tensor, other: ForwardResult) -> None:
        """Overwrite some rows, in the dtypes that are here."""
        for own, new in zip(self._vectors(), other._vectors(), strict=True):
            own[rows] = new.to(own.dtype)

    def to(self, dtype: torch.dtype) -> ForwardResult:
        """Return the same with sums of a dtype."""
        logps, anchor, inverse, *more = (
            vector if vector.dtype == torch.bool else vector.to(dtype) for vector in self._vectors()
        )
        return ForwardResult(logps, anchor, inverse, tuple(more))

    def _vectors(self) -> tuple[Tensor, ...]:
        return self.logps, self.anchor, self.inverse, *self.statistics


# (exponentials [T, C] of a tile, its tokens, its columns) -> None: some rows are overwritten
Overwrite = Callable[[Tensor, slice, slice], None]


def blocks(size: int, tile: int) -> Iterator[slice]:
    """Cut range(size) into slices of at most `tile`."""
    for start in range(0, size, tile):
        yield slice(start, min(start + tile, size))


def with_target_logits(hidden: Tensor, targets: Tensor, head: Head) -> Rows:
    """Return the rows with the logit of each token's target."""
    z = head.tiles.target_products(hidden, head.weight, targets)
    bias = None if head.bias is None else head.bias[targets]
    element = TileHead(bias, head.options, head.sum_dtype)
    logits, slope = element.logits(z, slice(0, len(z)))
    slopes = torch.ones_like(logits) if slope is None else slope.expand_as(logits)
    return Rows(hidden, targets, logits, slopes)


def forward_pass(
    rows: Rows, head: Head, *, want_gradient: bool, kept: SavedExp | None = None
) -> tuple[ForwardResult, Tensor | None, Tensor]:
    """Return (what was found, G [N, D] in hidden's dtype or None, index of doubtful rows).

    Fills `kept`. Doubtful rows are those whose sums may be wrong, and their G and exponentials
    with them: `exact_rows` makes them again.

    Args:
        rows: hidden states and targets.
        head: weight, bias and options.
        want_gradient: compute G.
        kept: exponentials to fill for the backward pass.
    """
    found = ForwardResult.empty(rows.logit, statistics=head.options.statistics)
    gradient = torch.empty_like(rows.hidden) if want_gradient else None
    keeps = kept is not None  # in the tiles of the backward pass
    tokens, width = head.tiles.shape(
        len(rows.hidden), head.dtype, all_tokens=keeps, write=want_gradient or keeps
    )
    for block in blocks(len(rows.hidden), tokens):
        part = rows.part(block)
        room = None if gradient is None else gradient[block]
        # A row of NaN could spoil others: some libraries' products read past the end of a row.
        anchor = torch.where(part.logit.isfinite(), part.logit, 0.0)
        found.put(block, token_block(part, head, anchor, width, room, kept, block))
    return found, gradient, _doubtful(rows, head, found)


def _doubtful(rows: Rows, head: Head, found: ForwardResult) -> Tensor:
    """Return the index of rows whose sum overflowed or whose logits are too large to trust it."""
    sound = found.logps > -math.log(OVERFLOW)
    sound &= rows.logit.abs() <= head.tiles.most_logit(head.dtype)
    # One wait in the usual case, as `nonzero` would be one, too.
    if sound.all().item():
        return rows.targets.new_empty(0)
    return (~sound).nonzero()[:, 0]


def token_block(
    rows: Rows,
    head: Head,
    anchor: Tensor,
    width: int,
    gradient: Tensor | None,
    kept: SavedExp | None,
    place: slice | Tensor,
) -> ForwardResult:
    """Return what some tokens have against `anchor` [T]: their target's logit, or the largest one.

    Writes G into `gradient` [T, D], and exponentials into the rows `place` of `kept`.

    Args:
        rows: the tokens.
        head: weight, bias and options.
        anchor: [T], what exponents are taken from.
        width: columns of a tile.
        gradient: [T, D] out, or None.
        kept: exponentials out, or None.
        place: the rows of `kept`.
    """
    element = head.tile_head()
    sums = Sums.zeros(anchor, statistics=head.options.statistics)
    total = None
    if gradient is not None:
        total = head.tiles.room("total", anchor, *gradient.shape).zero_()
    for columns in blocks(len(head.weight), width):
        weight = head.rows(columns)
        block = None if kept is None or isinstance(place, Tensor) else kept.tile(columns)
        out = None if block is None else block[place]
        tile = Tile(rows.hidden, weight, rows.targets, columns, element)
        write = total is not None or out is not None or isinstance(place, Tensor)
        e = head.tiles.exponentials(tile, anchor, sums=sums, write=write, out=out)
        if total is not None and e is not None:
            head.tiles.accumulate(total, e, weight)
        if kept is not None and isinstance(place, Tensor) and e is not None:
            kept.put(place, columns, e)
    gap = rows.logit - anchor
    own = torch.exp(gap)
    # The sum over all columns, less 1. The anchor's column alone makes it 0 at least.
    others = (sums.exponentials + (own - 1)).clamp_(min=0)
    inverse = 1 / (1 + others)
    if gradient is not None and total is not None:
        factors = sums.exponentials * rows.slope * inverse
        head.tiles.combine(gradient, factors, head.weight, rows.targets, -inverse, total)
    statistics = _statistics(rows, sums, own, others, len(head.weight))
    return ForwardResult(gap - torch.log1p(others), anchor, inverse, statistics)


def _statistics(
    rows: Rows, sums: Sums, own: Tensor, others: Tensor, vocabulary: int
) -> tuple[Tensor, ...]:
    """Return (entropy, hits, mean logits) where their sums were made."""
    if sums.weighted is None or sums.logits is None or sums.largest is None:
        return ()
    mean_exponent = (sums.weighted + torch.xlogy(own, own)) / (1 + others)
    entropy = (torch.log1p(others) - mean_exponent).clamp_(min=0)
    return entropy, rows.logit >= sums.largest, (sums.logits + rows.logit) / vocabulary


def backward_pass(
    inputs: tuple[Tensor, Tensor],
    head: Head,
    found: ForwardResult,
    coefficients: Tensor,
    kept: SavedExp | None,
    exact: Overwrite | None,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of hidden [N, D], weight [V, D] and bias [V], given dloss/dlogps [N].

    A gradient that is not wanted is None, and costs neither products nor memory.

    Vocabulary tiles are the outer loop, so that each part of the weight's gradient is written
    once, in the weight's dtype, from a float32 sum.

    Args:
        inputs: hidden and targets.
        head: as in the forward pass.
        found: by it.
        coefficients: [N].
        kept: by it; other exponentials are made again.
        exact: overwrites those of doubtful rows; None where there are none.
        wanted: which of the three.
    """
    element = head.tile_head()
    all_hidden, all_targets = inputs
    factors = -coefficients * found.inverse
    own, totals = found.own(), 1 / found.inverse
    scaled = head.tiles.room("scaled", all_hidden, *all_hidden.shape)
    head.tiles.combine(scaled, factors, all_hidden)
    token_tile, width = head.tiles.shape(len(all_hidden), head.dtype, all_tokens=True)
    d_hidden = total = None
    if wanted[0]:
        d_hidden = torch.empty_like(all_hidden)
        total = head.tiles.room("total", factors, *all_hidden.shape).zero_()
    d_weight = torch.empty_like(head.weight) if wanted[1] else None
    d_bias = None
    if wanted[2] and head.bias is not None:
        d_bias = torch.zeros_like(head.bias, dtype=head.sum_dtype)
    token_blocks = list(blocks(len(all_hidden), token_tile))
    for columns in blocks(len(head.weight), width):
        weight = head.rows(columns)
        part = WeightPart(d_weight, columns, head, single=len(token_blocks) == 1)
        kept_tile = None if kept is None else kept.tile(columns)
        for block in token_blocks:
            if kept_tile is None:
                tile = Tile(all_hidden[block], weight, all_targets[block], columns, element)
                e = head.tiles.exponentials(
                    tile, found.anchor[block], own=own[block], totals=totals[block]
                )
                assert e is not None  # write is True
                if exact is not None:
                    exact(e, block, columns)
            else:
                e = kept_tile[block]
            if d_bias is not None:
                right = factors[block, None].to(head.dtype)
                head.tiles.accumulate(d_bias[columns, None], e.T, right)
            part.add(e, scaled[block])
            if total is not None:
                head.tiles.accumulate(total[block], e, weight)
        part.write()
    if total is not None:
        torch.mul(total, factors[:, None], out=d_hidden)
    if d_bias is not None and head.bias is not None:
        d_bias = d_bias.to(head.bias.dtype)
    return d_hidden, d_weight, d_bias


class WeightPart:
    """The part of the weight's gradient that some columns hold: one product, or a float32 sum."""

    def __init__(self, gradient: Tensor | None, columns: slice, head: Head, *, single: bool):
        self.room = None if gradient is None else gradient[columns]
        self.tiles = head.tiles
        direct = single and self.room is not None and self.room.dtype == head.dtype
        self.total: Tensor | None = None
        if self.room is not None and not direct:
            self.total = torch.zeros_like(self.room, dtype=head.sum_dtype)

    def add(self, e: Tensor, hidden: Tensor) -> None:
        """Add e.T @ hidden, of e [T, C] and hidden [T, D]."""
        if self.total is not None:
            self.tiles.accumulate(self.total, e.T, hidden)
        elif self.room is not None:
            torch.mm(e.T.to(hidden.dtype), hidden, out=self.room)

    def write(self) -> None:
        if self.room is not None and self.total is not None:
            self.room.copy_(self.total)


def room_to_keep(hidden: Tensor, head: Head) -> SavedExp | None:
    """Return room for as many columns as the memory budget admits."""
    width = head.tiles.shape(len(hidden), head.dtype, all_tokens=True)[1]
    columns = min(
        head.options.memory_budget // max(len(hidden) * hidden.element_size(), 1), len(head.weight)
    )
    if columns < len(head.weight):
        columns -= columns % width
    if not columns * len(hidden):
        return None
    return SavedExp(lease(hidden, columns * len(hidden) + 1), len(hidden), width)
