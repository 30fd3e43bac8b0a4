"""Make one tile of logits in torch ops: exponentials and their sums from hidden and head.

A tile holds T tokens by C vocabulary columns. `anchor` [T] is what exponents are taken against:
the target's own logit (so that a token's log-prob is -log1p(sum)), or the row's maximum where the
target's logit is so low that the sum would overflow. The target's column never enters the sums, so
a rounded product can't push a log-prob above 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from clairkit.kernels.buffer_cache import Slot, reusable
from clairkit.kernels.options import HeadOptions

# exp(76) summed over 10^5 columns is still finite in float32.
MAX_EXPONENT = 76.0
# Of a row's sum: what a rounded product must hold to be made again without rounding.
SHARE_TO_MEND = 1 / 256
# A larger logit is off by up to a nat where products are rounded to bfloat16, so that a row's mass
# may lie in other columns than it seems to; and by 1e-4 where they are summed in float32, by 1e-6
# where in float64.
_MOST_LOGIT, _MOST_LOGIT_WIDE = 256.0, 1e9

_SCRATCH: Slot[dict[str, Tensor]] = Slot()


def _has_matrix_unit() -> bool:
    """Tell whether this CPU multiplies bfloat16 by AMX; not where an older torch does not say."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16", False))


class TileHead:
    """Bias, softcap and scale of the head, applied to a tile of raw products."""

    def __init__(self, bias: Tensor | None, options: HeadOptions, dtype: torch.dtype) -> None:
        self.bias = None if bias is None else bias.to(dtype)
        self.options = options
        self.dtype = dtype

    def logits(self, z: Tensor, columns: slice) -> tuple[Tensor, Tensor | None]:
        """Return (logits, dlogit/dz or None where it is 1). May reuse z's memory."""
        x = z.to(self.dtype)
        if self.bias is not None:
            x = x.add_(self.bias[columns])
        slope = None
        cap, scale = self.options.softcap, self.options.logit_scale
        if cap is not None:
            x = x.div_(cap).tanh_()
            slope = torch.addcmul(x.new_tensor(scale), x, x, value=-scale)
            x = x.mul_(cap)
        if scale != 1.0:
            x = x.mul_(scale)
            if slope is None:
                slope = x.new_tensor(scale)
        return x, slope


@dataclass(frozen=True)
class Tile:
    """T tokens by C columns of the vocabulary, before the product."""

    hidden: Tensor  # [T, D]
    weight: Tensor  # [C, D], in hidden's dtype
    targets: Tensor  # [T], over the whole vocabulary
    columns: slice
    head: TileHead

    def products(self, room: Tensor) -> Tensor:
        """Return hidden @ weight.T [T, C], in `room` or, unrounded, in memory of its own."""
        if room.is_cuda and room.dtype == torch.bfloat16:
            return torch.mm(self.hidden, self.weight.T, out_dtype=torch.float32)
        return torch.mm(self.hidden, self.weight.T, out=room)


@dataclass(frozen=True)
class Sums:
    """Sums over the columns seen so far, the target's left out; every field [T], added to in place.

    The last three are there when token statistics are wanted.
    """

    exponentials: Tensor  # of exp(logit - anchor)
    weighted: Tensor | None = None  # of exp(logit - anchor) * (logit - anchor)
    logits: Tensor | None = None  # of logits
    largest: Tensor | None = None  # not a sum: the largest logit

    @classmethod
    def zeros(cls, like: Tensor, *, statistics: bool) -> Sums:
        """Return the sums over no column, for the rows of `like` [T]."""
        if not statistics:
            return cls(torch.zeros_like(like))
        a, b, c = (torch.zeros_like(like) for _ in range(3))
        return cls(a, b, c, torch.full_like(like, -torch.inf))

    def put(self, rows: Tensor | slice, other: Sums) -> None:
        for field in fields(self):
            own, new = getattr(self, field.name), getattr(other, field.name)
            if own is not None:
                own[rows] = new


class TorchTiles:
    """The tile operations on any device; one object a pass, since it owns the pass's scratch."""

    # Of the sizes tried on CPUs these were the fastest, in float32 and bfloat16 (docs/log.md).
    tile_elements = 1 << 21
    token_tile = 1024
    # A matrix unit makes bfloat16 products so fast that only large ones keep it busy (docs/log.md).
    matrix_unit = _has_matrix_unit()

    def __init__(self) -> None:
        self._scratch: dict[str, Tensor] = {}

    def room(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return scratch memory of `like`'s dtype and device, the same one for the same name.

        A fresh tensor for every tile would be given back to the system and faulted in again.
        """
        if not self._scratch and reusable(like):
            self._scratch = _SCRATCH.get() or {}
        size = math.prod(shape)
        room = self._scratch.get(name)
        if room is None or room.numel() < size or room.dtype != like.dtype:
            room = self._scratch[name] = like.new_empty(size)
        return room[:size].view(shape)

    def end(self) -> None:
        """Leave the scratch to the next pass; nothing that `room` gave is read after this."""
        scratch, self._scratch = self._scratch, {}
        if scratch and all(map(reusable, scratch.values())):
            _SCRATCH.put(scratch)

    def shape(
        self, tokens: int, dtype: torch.dtype, *, all_tokens: bool = False, write: bool = True
    ) -> tuple[int, int]:
        """Return (tokens, columns) of a tile.

        Args:
            tokens: N.
            dtype: of the products.
            all_tokens: whether as many tokens as may be shall share a tile.
            write: whether exponentials will be written.
        """
        del write  # a GPU goes by it
        times = 4 if self.matrix_unit and dtype == torch.bfloat16 else 1
        elements, least = times * self.tile_elements, times * 256
        most = elements // least if all_tokens else min(times, 2) * self.token_tile
        rows = max(min(tokens, most), 1)
        return rows, elements // max(rows, least)

    def rounds(self, hidden: Tensor) -> bool:
        """Tell whether products of such hidden states are rounded to bfloat16."""
        return hidden.dtype == torch.bfloat16 and not hidden.is_cuda

    def most_logit(self, dtype: torch.dtype) -> float:
        """Return up to which |logit| of its target a row's sums can be trusted.

        Columns that matter have logits close to it, or so far above that it shows in the sum.
        """
        return _MOST_LOGIT_WIDE if dtype == torch.float64 else _MOST_LOGIT

    def target_products(self, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        """Return hidden[n] . weight[targets[n]], [N], products and sums at least float32."""
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        products = hidden.new_empty(len(hidden), dtype=dtype)
        for start in range(0, len(hidden), self.token_tile):
            rows = slice(start, start + self.token_tile)
            chosen = weight[targets[rows]].to(dtype)
            products[rows] = (hidden[rows].to(dtype) * chosen).sum(1)
        return products

    def combine(
        self,
        result: Tensor,
        factors: Tensor,
        matrix: Tensor,
        index: Tensor | None = None,
        shares: Tensor | None = None,
        other: Tensor | None = None,
    ) -> None:
        """Write factors[t] * matrix[index[t]] + shares[t] * other[t] into `result` [T, D].

        Args:
            result: written, rounded once.
            factors: [T], float32 or wider.
            matrix: [*, D]; `other` [T, D] as well, but in the factors' dtype.
            index: [T]; one row after the other by default.
            shares: [T].
            other: nothing by default; may be overwritten.
        """
        rows = (matrix if index is None else matrix[index]).to(factors.dtype)
        if shares is None or other is None:
            result.copy_(rows * factors[:, None])
        else:
            result.copy_(other.mul_(shares[:, None]).addcmul_(factors[:, None], rows))

    def exponentials(
        self,
        tile: Tile,
        anchor: Tensor,
        *,
        sums: Sums | None = None,
        write: bool = True,
        own: Tensor | None = None,
        totals: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Tensor | None:
        """Add to the sums of a tile; return its exponentials, [T, C].

        That is exp(logit - anchor) * slope, slope = dlogit/dproduct, but own * slope in the
        target's column. In `out`, or else in the products' dtype or wider and in memory that is
        that of the next call, too.

        Args:
            tile: the tile.
            anchor: [T], subtracted from the logits.
            sums: added to.
            write: whether the result is wanted; None otherwise.
            own: [T]; 0 by default.
            totals: [T], sums of all exponentials where they are known. A rounded product that
                makes up much of its row's may be made again without rounding.
            out: [T, C], written, in the products' dtype.
        """
        z = tile.products(self.room("products", tile.hidden, len(tile.hidden), len(tile.weight)))
        logits, slope = tile.head.logits(z, tile.columns)
        if sums is not None and sums.logits is not None and sums.largest is not None:
            sums.logits.add_(_without_targets(logits, tile, 0.0).sum(1))
            torch.maximum(
                sums.largest, _without_targets(logits, tile, -torch.inf).amax(1), out=sums.largest
            )
        e = logits.sub_(anchor[:, None]).clamp_(max=MAX_EXPONENT).exp_()
        _set_targets(e, tile, 0.0)
        if z.dtype != tile.head.dtype:
            known = 1.0 if sums is None else sums.exponentials + 1.0
            self._mend(tile, e, anchor, known + e.sum(1) if totals is None else totals)
        if sums is not None:
            sums.exponentials.add_(e.sum(1))
            if sums.weighted is not None:
                sums.weighted.add_(torch.xlogy(e, e).sum(1))
        if not write:
            return None
        if own is not None:
            _set_targets(e, tile, own)
        if slope is not None:
            e.mul_(slope)
        return e if out is None else out.copy_(e)

    def _mend(self, tile: Tile, e: Tensor, anchor: Tensor, totals: Tensor) -> None:
        """Make the exponentials anew, of unrounded products, that hold much of their row's sum.

        A rounded product is off by up to 2^-9 of itself, a few hundredths of a nat: where few
        columns hold a row's mass, so would the row be. The errors of the others average out.
        """
        hits = (e > SHARE_TO_MEND * totals[:, None]).nonzero()
        for start in range(0, len(hits), self.token_tile):
            rows, columns = hits[start : start + self.token_tile].T
            z = self.target_products(tile.hidden[rows], tile.weight, columns)
            bias = None if tile.head.bias is None else tile.head.bias[tile.columns][columns]
            head = TileHead(bias, tile.head.options, tile.head.dtype)
            exact = head.logits(z, slice(0, len(z)))[0].sub_(anchor[rows])
            e[rows, columns] = exact.clamp_(max=MAX_EXPONENT).exp_()

    def accumulate(self, total: Tensor, left: Tensor, right: Tensor) -> None:
        """total += left @ right, the sum in total's dtype, the product in right's."""
        if total.dtype == right.dtype:
            total.addmm_(left.to(right.dtype), right)
        elif total.device.type == "cuda":
            torch.addmm(total, left.to(right.dtype), right, out_dtype=total.dtype, out=total)
        else:
            total += left.to(right.dtype) @ right


class WideTorchTiles(TorchTiles):
    """As `TorchTiles` for a GPU, which a launch costs as much as a small tile."""

    tile_elements = 1 << 25
    token_tile = 4096
    matrix_unit = False


def _without_targets(logits: Tensor, tile: Tile, value: float) -> Tensor:
    copy = logits.clone()
    _set_targets(copy, tile, value)
    return copy


def _set_targets(values: Tensor, tile: Tile, value: Tensor | float) -> None:
    """Write `value` ([T] or a number) where a row's target lies in the tile; no host sync."""
    targets, columns = tile.targets, tile.columns
    inside = (targets >= columns.start) & (targets < columns.stop)
    index = torch.where(inside, targets - columns.start, 0)[:, None]
    old = values.gather(1, index)[:, 0]
    new = torch.where(inside, torch.as_tensor(value, dtype=values.dtype, device=values.device), old)
    values.scatter_(1, index, new[:, None])
