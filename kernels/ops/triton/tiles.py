"""Run the tile operations with product, exponentials and sums in one Triton launch.

bfloat16: `head_kernel`, the products never leave the registers. float32: cuBLAS, then
`products_kernel` in place, since Triton's exact float32 product runs at a fraction of cuBLAS's
rate, while the pass is 1 % of it (a float32 product has 1/15 of the rate of a bfloat16 one).
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from clairkit.kernels.tiles import MAX_EXPONENT, Sums, Tile, TorchTiles
from clairkit.kernels.triton import configs, interpreted
from clairkit.kernels.triton.configs import HeadLaunch, RowLaunch


class TritonTiles(TorchTiles):
    """As `TorchTiles`, on a GPU or in Triton's interpreter; float64 takes torch operations.

    Args:
        head: launch of the fused kernel; None: that of the table for the device.
        products: launch of the pass over products.
    """

    tile_bytes = configs.TILE_BYTES
    token_tile = configs.TOKEN_TILE

    def __init__(
        self, head: HeadLaunch | None = None, products: RowLaunch = configs.PRODUCTS
    ) -> None:
        super().__init__()
        self._head = head
        self._products = products

    def shape(
        self, tokens: int, dtype: torch.dtype, *, all_tokens: bool = False, write: bool = True
    ) -> tuple[int, int]:
        """Return (tokens, columns) of a tile; `all_tokens` asks for as many tokens as may be.

        Args:
            tokens: that there are.
            dtype: of hidden.
            all_tokens: as many tokens as may be in one tile.
            write: whether the tile is written.
        """
        if not (write or all_tokens) and dtype == torch.bfloat16:
            return max(tokens, 1), configs.WIDE_COLUMNS
        elements = self.tile_bytes // dtype.itemsize
        rows = max(min(tokens, configs.MOST_TOKENS if all_tokens else self.token_tile), 1)
        columns = elements // max(rows, configs.LEAST_ROWS)
        if all_tokens:
            columns = max(columns, configs.LEAST_COLUMNS)
        return rows, columns - columns % 256

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
        hidden, products = tile.hidden, None
        if hidden.dtype not in (torch.bfloat16, torch.float32):
            return super().exponentials(
                tile, anchor, sums=sums, write=write, own=own, totals=totals, out=out
            )
        if out is None and (write or hidden.dtype == torch.float32):
            out = self._room("products", hidden, tile)
        if hidden.dtype == torch.float32:
            products = torch.mm(hidden, tile.weight.T, out=out)
        if not write:
            out = None
        rows = {"targets": tile.targets, "anchor": anchor, "own": own}
        arguments: dict[str, Any] = {name: _contiguous(vector) for name, vector in rows.items()}
        arguments |= {"tile": out, "tile_stride": 0 if out is None else out.stride(0)}
        with torch.cuda.device_of(hidden):
            if products is None:
                self._run_head(tile, sums, arguments)
            else:
                self._run_products(tile, products, sums, arguments)
        return out

    def rounds(self, hidden: Tensor) -> bool:
        """Tell whether products are rounded: none is, nor in the interpreter."""
        return False

    def target_products(self, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        if torch.float64 in (hidden.dtype, weight.dtype):
            return super().target_products(hidden, weight, targets)
        from clairkit.kernels.triton.rows import target_kernel

        hidden, weight, rows = _rows(hidden), _rows(weight), _row_launch()
        products = hidden.new_empty(len(hidden), dtype=torch.float32)
        with torch.cuda.device_of(hidden):
            target_kernel[(-(-len(hidden) // rows.block_t),)](
                hidden,
                weight,
                targets.contiguous(),
                products,
                *hidden.shape,
                hidden.stride(0),
                weight.stride(0),
                BLOCK_T=rows.block_t,
                BLOCK_D=rows.block_v,
                num_warps=rows.num_warps,
                enable_fp_fusion=configs.FUSE_MULTIPLY_ADD,
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
        if factors.dtype != torch.float32 or matrix.dtype == torch.float64:
            super().combine(result, factors, matrix, index, shares, other)
            return
        from clairkit.kernels.triton.rows import combine_kernel

        matrix, rows = _rows(matrix), _row_launch()
        if other is not None:
            other = _rows(other)
        with torch.cuda.device_of(result):
            combine_kernel[(-(-len(result) // rows.block_t),)](
                result,
                factors.contiguous(),
                matrix,
                _contiguous(index),
                _contiguous(shares),
                other,
                *result.shape,
                result.stride(0),
                matrix.stride(0),
                0 if other is None else other.stride(0),
                BLOCK_T=rows.block_t,
                BLOCK_D=rows.block_v,
                num_warps=rows.num_warps,
                enable_fp_fusion=configs.FUSE_MULTIPLY_ADD,
            )

    def accumulate(self, total: Tensor, left: Tensor, right: Tensor) -> None:
        """total += left @ right, the sum in total's dtype; on a CPU the product, too."""
        if total.device.type == "cuda":
            super().accumulate(total, left, right)
        else:  # as a GPU has it: factors rounded to right's dtype, products and sums not
            total.addmm_(left.to(right.dtype).to(total.dtype), right.to(total.dtype))

    def _room(self, name: str, like: Tensor, tile: Tile) -> Tensor:
        """Scratch [T, C] whose rows start at multiples of 16 elements, as fast loads need."""
        columns = len(tile.weight)
        return self.room(name, like, len(tile.hidden), -(-columns // 16) * 16)[:, :columns]

    def _run_head(self, tile: Tile, sums: Sums | None, arguments: dict[str, Any]) -> None:
        from clairkit.kernels.triton.head import head_kernel

        launch = self._head or _table(tile, sums)
        hidden, weight = _rows(tile.hidden), _rows(tile.weight)
        column_blocks = -(-len(weight) // launch.block_v)
        blocks = programs = -(-len(hidden) // launch.block_t) * column_blocks
        described = launch.persistent and _describable(hidden) and _describable(weight)
        if described:
            programs = min(blocks, _processors(hidden.device))
        partial = _partial(sums, column_blocks)
        head_kernel[(programs,)](
            hidden=_described(hidden, launch.block_t, launch.block_d) if described else hidden,
            weight=_described(weight, launch.block_v, launch.block_d) if described else weight,
            size=hidden.shape[1],
            hidden_stride=hidden.stride(0),
            weight_stride=weight.stride(0),
            programs=programs,
            **arguments,
            **partial,
            **_head(tile),
            BLOCK_T=launch.block_t,
            BLOCK_V=launch.block_v,
            BLOCK_D=launch.block_d,
            PARTS=launch.parts,
            GROUP=launch.group,
            DESCRIPTORS=described,
            FLATTEN=described,
            EVEN_D=hidden.shape[1] % launch.block_d == 0,
            WIDEN=interpreted(),
            MAX_EXPONENT=MAX_EXPONENT,
            num_warps=launch.num_warps,
            num_stages=launch.num_stages,
            enable_fp_fusion=configs.FUSE_MULTIPLY_ADD,
        )
        _add(sums, partial)

    def _run_products(
        self, tile: Tile, products: Tensor, sums: Sums | None, arguments: dict[str, Any]
    ) -> None:
        from clairkit.kernels.triton.head import products_kernel

        launch, products = self._products, _rows(products)
        token_blocks = -(-len(products) // launch.block_t)
        splits = _splits(-(-products.shape[1] // launch.block_v), token_blocks)
        partial = _partial(sums, splits)
        products_kernel[(token_blocks, splits)](
            products=products,
            products_stride=products.stride(0),
            splits=splits,
            **arguments,
            **partial,
            **_head(tile),
            BLOCK_T=launch.block_t,
            BLOCK_V=launch.block_v,
            MAX_EXPONENT=MAX_EXPONENT,
            num_warps=launch.num_warps,
            enable_fp_fusion=configs.FUSE_MULTIPLY_ADD,
        )
        _add(sums, partial)


def _table(tile: Tile, sums: Sums | None) -> HeadLaunch:
    family, device, options = 80, tile.hidden.device, tile.head.options
    if device.type == "cuda":
        family = configs.family(torch.cuda.get_device_capability(device))
    has_options = not (tile.head.bias is None and options.softcap is None)
    return configs.head_launch(
        family,
        statistics=sums is not None and sums.weighted is not None,
        options=has_options or options.logit_scale != 1,
    )


def _row_launch() -> RowLaunch:
    return configs.ROWS_INTERPRETED if interpreted() else configs.ROWS


def _describable(matrix: Tensor) -> bool:
    """Tell whether a tensor descriptor can read a matrix: all its rows start at 16 bytes."""
    places = (matrix.data_ptr(), matrix.stride(0) * matrix.element_size())
    return all(place % 16 == 0 for place in places)


def _described(matrix: Tensor, rows: int, columns: int) -> Any:
    from triton.tools.tensor_descriptor import TensorDescriptor

    return TensorDescriptor.from_tensor(matrix, [rows, columns])


@functools.cache
def _processors(device: torch.device) -> int:
    if device.type != "cuda":
        return 4  # in the interpreter: fewer than blocks, so that each goes through several
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def _splits(blocks: int, token_blocks: int) -> int:
    """Programs that share the blocks of columns of a token, none of them without a block."""
    wanted = min(blocks, max(configs.PROGRAMS // token_blocks, 1))
    return -(-blocks // -(-blocks // wanted))


def _rows(matrix: Tensor) -> Tensor:
    return matrix if matrix.stride(1) == 1 else matrix.contiguous()


def _contiguous(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else vector.contiguous()


def _head(tile: Tile) -> dict[str, Any]:
    options, bias = tile.head.options, tile.head.bias
    return {
        "bias": None if bias is None else bias[tile.columns].contiguous(),
        "first_column": tile.columns.start,
        "tokens": len(tile.hidden),
        "columns": len(tile.weight),
        "softcap": options.softcap,
        "logit_scale": None if options.logit_scale == 1 else options.logit_scale,
    }


def _partial(sums: Sums | None, splits: int) -> dict[str, Tensor | None]:
    """Room [S, T] for each of the sums that are wanted, by the kernels' names."""
    fields = {
        "sums": "exponentials",
        "weighted": "weighted",
        "total": "logits",
        "largest": "largest",
    }
    rooms = {}
    for name, field in fields.items():
        own = None if sums is None else getattr(sums, field)
        rooms[name] = None if own is None else own.new_empty(splits, len(own))
    return rooms


def _add(sums: Sums | None, partial: dict[str, Tensor | None]) -> None:
    if sums is None:
        return
    pairs = ((sums.exponentials, "sums"), (sums.weighted, "weighted"), (sums.logits, "total"))
    for own, name in pairs:
        part = partial[name]
        if own is not None and part is not None:
            own.add_(part.sum(0))
    if sums.largest is not None and partial["largest"] is not None:
        torch.maximum(sums.largest, partial["largest"].amax(0), out=sums.largest)
