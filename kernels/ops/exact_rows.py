"""Compute rows that rounding could spoil in float64.

Such rows are rare: their target lies more than 46 nats below the maximum, a product is infinite or
NaN, or their logits are so large that a rounded product, or the difference of two sums of float32,
is off by more than the contract admits. Target and other columns are taken from one product, so
that equal columns stay equal, and exponents are taken against the row's largest logit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clairkit.kernels.tiled import (
    ForwardResult,
    Head,
    Overwrite,
    Rows,
    SavedExp,
    blocks,
    token_block,
)
from clairkit.kernels.tiles import Tile, TorchTiles

# Of a tile: its weight takes 16 MB, as do its exponentials.
_TOKENS, _ELEMENTS = 256, 1 << 21


def widest(device: torch.device) -> torch.dtype:
    """Return the widest dtype of a device's numbers."""
    return torch.float32 if device.type == "mps" else torch.float64


def redo_rows(
    rows: Rows,
    head: Head,
    found: ForwardResult,
    gradient: Tensor | None,
    kept: SavedExp | None,
    index: Tensor,
) -> Tensor:
    """Overwrite what was found for some rows, their G and kept exponentials; return their anchors.

    Args:
        rows: all of them.
        head: of the pass.
        found: of all rows.
        gradient: G [N, D]; None where it is not wanted.
        kept: likewise.
        index: [K], of the rows to compute.
    """
    wide, width = _wide(head), _width(head)
    anchors = [rows.logit.new_empty(0, dtype=wide.dtype)]
    for chunk in blocks(len(index), _TOKENS):
        place = index[chunk]
        part, anchor = _anchored(rows.hidden[place], rows.targets[place], wide, width)
        room = None if gradient is None else torch.empty_like(part.hidden)
        found.put(place, token_block(part, wide, anchor, width, room, kept, place))
        if gradient is not None and room is not None:
            gradient[place] = room.to(gradient.dtype)
        anchors.append(anchor)
    return torch.cat(anchors)


@dataclass(frozen=True)
class ExactRows:
    """K of the N rows of a backward pass, whose exponentials are made in float64."""

    index: Tensor  # [K]
    anchor: Tensor  # [K], in the wide dtype
    hidden: Tensor  # [N, D]
    targets: Tensor  # [N]
    own: Tensor  # [N], of the target's column

    def overwrite(self, head: Head) -> Overwrite:
        """Return what overwrites these rows in a tile of a pass."""
        wide, width = _wide(head), _width(head)
        element = wide.tile_head()

        def write(e: Tensor, tokens: slice, columns: slice) -> None:
            for part in self._inside(tokens):
                index = self.index[part]
                hidden, own = self.hidden[index].to(wide.dtype), self.own[index].to(wide.dtype)
                for some in _cut(columns, width):
                    tile = Tile(hidden, wide.rows(some), self.targets[index], some, element)
                    values = wide.tiles.exponentials(tile, self.anchor[part], own=own)
                    assert values is not None  # they are wanted
                    place = slice(some.start - columns.start, some.stop - columns.start)
                    e[index - tokens.start, place] = values.to(e.dtype)

        return write

    def _inside(self, tokens: slice) -> Iterator[Tensor]:
        """Yield the places within `index` of rows among the tokens, some at a time."""
        inside = (self.index >= tokens.start) & (self.index < tokens.stop)
        yield from inside.nonzero()[:, 0].split(_TOKENS)


def _wide(head: Head) -> Head:
    return replace(head, tiles=TorchTiles(), dtype=widest(head.weight.device))


def _width(head: Head) -> int:
    return max(_ELEMENTS // max(head.weight.shape[1], _TOKENS), 1)


def _cut(columns: slice, width: int) -> Iterator[slice]:
    for part in blocks(columns.stop - columns.start, width):
        yield slice(columns.start + part.start, columns.start + part.stop)


def _anchored(hidden: Tensor, targets: Tensor, head: Head, width: int) -> tuple[Rows, Tensor]:
    """Return rows [T] with their target's logit, and their largest logit, of the same products."""
    hidden, element = hidden.to(head.dtype), head.tile_head()
    largest = hidden.new_full((len(hidden),), -torch.inf)
    logit, slope = torch.full_like(largest, torch.nan), torch.ones_like(largest)
    for columns in blocks(len(head.weight), width):
        tile = Tile(hidden, head.rows(columns), targets, columns, element)
        room = head.tiles.room("products", hidden, len(hidden), len(tile.weight))
        logits, slopes = element.logits(tile.products(room), columns)
        largest = torch.maximum(largest, logits.amax(1))
        inside = (targets >= columns.start) & (targets < columns.stop)
        place = torch.where(inside, targets - columns.start, 0)[:, None]
        logit = torch.where(inside, logits.gather(1, place)[:, 0], logit)
        if slopes is not None:
            chosen = slopes.expand_as(logits).gather(1, place)[:, 0]
            slope = torch.where(inside, chosen, slope)
    return Rows(hidden, targets, logit, slope), largest
