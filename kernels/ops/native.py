"""The tile operations with their element-wise part in C, for float32 and bfloat16 on a CPU."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch
from torch import Tensor

from clairkit.kernels.tiles import TileHead, TorchTiles

# Rows x columns below which one thread is faster than handing out the work.
_MIN_PARALLEL = 1 << 16


class NativeTiles(TorchTiles):
    """As `TorchTiles`; tiles of other dtypes, and all under torch.compile, take its operations.

    Args:
        variant: index into `variant_names()`, 0 for the widest instruction set of this CPU.
    """

    def __init__(self, variant: int = 0) -> None:
        self.variant = variant

    def exponentials(
        self, z: Tensor, columns: slice, targets: Tensor, anchor: Tensor, head: TileHead
    ) -> tuple[Tensor, Tensor]:
        """Turn raw products z [T, C] into (sums [T], slope-weighted exponentials [T, C])."""
        if not _takes(z):
            return super().exponentials(z, columns, targets, anchor, head)
        sums = torch.empty_like(anchor)
        self._run(z, columns, targets, anchor, head, sums=sums)
        return sums, z

    def gradient(
        self, z: Tensor, columns: slice, targets: Tensor, lse: Tensor, logps: Tensor,
        coefficients: Tensor, head: TileHead,
    ) -> Tensor:  # fmt: skip
        """Turn raw products z [T, C] into c * (onehot - p) * dlogit/dz [T, C]."""
        if not _takes(z):
            return super().gradient(z, columns, targets, lse, logps, coefficients, head)
        self._run(z, columns, targets, lse, head, logps=logps, factors=coefficients)
        return z

    def _run(
        self, z: Tensor, columns: slice, targets: Tensor, shift: Tensor, head: TileHead,
        **rows: Tensor,
    ) -> None:  # fmt: skip
        """Run the C pass over z in place, its rows shared out among torch's threads."""
        from clairkit.kernels import _native

        inside = targets - columns.start
        bias = None if head.bias is None else head.bias[columns].contiguous()
        named = {name: tensor.contiguous() for name, tensor in rows.items()}
        shift = shift.contiguous()
        tile = (z.data_ptr(), 0 if bias is None else bias.data_ptr(), inside.data_ptr())
        vectors = (
            shift.data_ptr(), _address(named, "logps"), _address(named, "factors"),
            _address(named, "sums"),
        )  # fmt: skip
        cap, scale = head.options.softcap or 0.0, head.options.logit_scale
        half, gradient = z.dtype == torch.bfloat16, "factors" in named

        def part(rows: tuple[int, int]) -> None:
            _native.tile_pass(
                *tile, *vectors, z.shape[1], cap, scale, rows[0], rows[1], half, gradient,
                self.variant,
            )  # fmt: skip

        count = torch.get_num_threads() if z.numel() >= _MIN_PARALLEL else 1
        cuts = [len(z) * i // count for i in range(count + 1)]
        spans = list(itertools.pairwise(cuts))
        if count == 1:
            part(spans[0])
        else:
            list(_pool(count).map(part, spans))


def _address(tensors: dict[str, Tensor], name: str) -> int:
    return tensors[name].data_ptr() if name in tensors else 0


def _takes(z: Tensor) -> bool:
    # A compiler can't see that the C pass writes to z, and would move or drop what depends on it.
    traced = torch.compiler.is_compiling()
    return z.dtype in (torch.float32, torch.bfloat16) and z.is_contiguous() and not traced


@lru_cache(maxsize=1)
def _pool(count: int) -> ThreadPoolExecutor:
    """One pool for the process; made anew when torch's number of threads changes."""
    return ThreadPoolExecutor(count, thread_name_prefix="clairkit-native")
