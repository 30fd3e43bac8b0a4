"""Run the tile operations with their element-wise part in C, in float32 or bfloat16 on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from clairkit.kernels.tiles import Sums, Tile, TorchTiles

# Rows x columns below which one thread is faster than sharing the work.
_MIN_PARALLEL = 1 << 16


class NativeTiles(TorchTiles):
    """As `TorchTiles`; tiles of other dtypes take its operations.

    Args:
        variant: index into `variant_names()`, 0 for the widest instruction set of this CPU.
    """

    def __init__(self, variant: int = 0) -> None:
        super().__init__()
        self.variant = variant

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
        if not _takes(tile.hidden):
            return super().exponentials(
                tile, anchor, sums=sums, write=write, own=own, totals=totals, out=out
            )
        from clairkit.kernels import _native

        hidden, weight = _by_rows(tile.hidden), _by_rows(tile.weight)
        if out is None:
            out = self.room("products", hidden, len(hidden), len(weight))
        z = tile.products(out)
        head, columns, half = tile.head, tile.columns, z.dtype == torch.bfloat16
        bias = None if head.bias is None else head.bias[columns].contiguous()
        inside = tile.targets - columns.start
        vectors = (anchor, own, totals, *(getattr(sums, name, None) for name in _SUMS))
        # Kept alive until the pass is over; sums are contiguous as they are made.
        vectors = tuple(None if v is None else v.contiguous() for v in vectors)
        _native.tile_pass(
            (
                _address(z),
                _address(out) if write else 0,
                _address(hidden) if half else 0,
                _address(weight),
                _address(bias),
                _address(inside),
                *map(_address, vectors),
            ),
            (
                *z.shape,
                z.stride(0),
                out.stride(0),
                hidden.shape[1],
                hidden.stride(0),
                weight.stride(0),
            ),
            head.options.softcap or 0.0,
            head.options.logit_scale,
            half,
            self.variant,
            _threads(z),
        )
        return out if write else None

    def target_products(self, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        """Return hidden[n] . weight[targets[n]], [N] float32."""
        if not (_takes(hidden) and hidden.dtype == weight.dtype and _plain(hidden, weight)):
            return super().target_products(hidden, weight, targets)
        from clairkit.kernels import _native

        products = hidden.new_empty(len(hidden), dtype=torch.float32)
        index = targets.contiguous()
        _native.row_dots(
            (weight.data_ptr(), index.data_ptr(), hidden.data_ptr(), 0, 0, products.data_ptr()),
            (len(hidden), hidden.shape[1]),
            hidden.dtype == torch.bfloat16,
            _threads(hidden),
        )
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
            result: [T, D], out.
            factors: [T].
            matrix: [R, D].
            index: [T], rows of `matrix`; None: row t.
            shares: [T]; None: there is no second term.
            other: [T, D].
        """
        if not (_takes(result) and result.dtype == matrix.dtype and _plain(result, matrix)):
            return super().combine(result, factors, matrix, index, shares, other)
        from clairkit.kernels import _native

        vectors = [None if v is None else v.contiguous() for v in (index, other, factors, shares)]
        _native.row_combination(
            (matrix.data_ptr(), *map(_address, vectors), result.data_ptr()),
            (len(result), result.shape[1]),
            result.dtype == torch.bfloat16,
            _threads(result),
        )
        return None

    def accumulate(self, total: Tensor, left: Tensor, right: Tensor) -> None:
        """total += left @ right; a bfloat16 product is widened and added in one go."""
        if total.dtype != torch.float32 or not total.is_contiguous() or not _takes(right):
            return super().accumulate(total, left, right)
        if right.dtype == torch.float32:
            total.addmm_(left, right)
            return None
        from clairkit.kernels import _native

        product = torch.mm(left, right, out=self.room("product", right, *total.shape))
        _native.add_half(total.data_ptr(), product.data_ptr(), total.numel(), _threads(total))
        return None


_SUMS = ("exponentials", "weighted", "logits", "largest")


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _by_rows(matrix: Tensor) -> Tensor:
    """Return a matrix whose rows stand in one piece each."""
    return matrix if matrix.stride(1) == 1 or matrix.shape[1] == 1 else matrix.contiguous()


def _plain(*tensors: Tensor) -> bool:
    return all(tensor.is_contiguous() for tensor in tensors)


def _threads(tensor: Tensor) -> int:
    return torch.get_num_threads() if tensor.numel() >= _MIN_PARALLEL else 1


def _takes(tensor: Tensor) -> bool:
    return tensor.dtype in (torch.float32, torch.bfloat16)
