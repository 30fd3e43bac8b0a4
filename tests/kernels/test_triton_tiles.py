"""`TritonTiles` against `TorchTiles` in float64: in the interpreter, or on a GPU.

Scratch and workspaces are filled with NaN, and so is all memory around the inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.kernels.options import HeadOptions
from clairkit.kernels.tiles import MAX_EXPONENT, Sums, Tile, TileHead, TorchTiles
from clairkit.kernels.triton import configs, unavailable_reason
from clairkit.kernels.triton import tiles as tiles_module
from clairkit.kernels.triton.configs import HeadLaunch, RowLaunch
from clairkit.kernels.triton.tiles import TritonTiles

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = (torch.bfloat16, torch.float32)
# Smaller than the shapes below in each direction, so that tiles have several blocks and parts.
SMALL = HeadLaunch(16, 32, 16, parts=2, num_warps=4, num_stages=2, persistent=True, group=2)
ROWS = RowLaunch(16, 64, num_warps=4)
# Tokens, columns, hidden size: single elements, and no multiple of a block.
SHAPES = ((1, 1, 16), (1, 63, 7), (63, 123, 48), (50, 1021, 33))
FIRST = 100  # column of the tile in a vocabulary of 1300
HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bias": {"bias": True},
    "softcap": {"softcap": 5.0, "logit_scale": 0.3},
    "all": {"softcap": 30.0, "logit_scale": -2.0, "bias": True},
}


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """Memory that torch hands out is full of NaN; cuBLAS may take its usual workspace."""
    torch.manual_seed(7)
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@dataclass(frozen=True)
class Given:
    """A tile and what goes with it."""

    tile: Tile
    anchor: Tensor
    own: Tensor

    def exact(self) -> Given:
        """The same in float64."""
        tile, head = self.tile, self.tile.head
        wide = Tile(
            tile.hidden.double(),
            tile.weight.double(),
            tile.targets,
            tile.columns,
            TileHead(head.bias, head.options, torch.float64),
        )
        return Given(wide, self.anchor.double(), self.own.double())


def amid_nan(values: Tensor, *, aligned: bool = False) -> Tensor:
    """Return the values as a part of a matrix that is NaN around them.

    Rows `aligned` to 16 bytes can be read by a tensor descriptor.
    """
    rows, columns = values.shape
    width = -(-(columns + 5) // 16) * 16 if aligned else columns + 5
    matrix = torch.full((rows + 3, width), torch.nan, dtype=values.dtype)
    matrix[1 : rows + 1, :columns] = values
    return matrix.to(DEVICE)[1 : rows + 1, :columns]


def given(
    shape: tuple[int, int, int], dtype: torch.dtype, *, aligned: bool = False, **head: Any
) -> Given:
    tokens, columns, size = shape
    hidden, weight = torch.randn(tokens, size), 3 * torch.randn(columns, size) / size**0.5
    bias = torch.randn(1300, device=DEVICE) if head.pop("bias", False) else None
    targets = torch.randint(FIRST - 50, FIRST + columns + 50, (tokens,), device=DEVICE)
    tile = Tile(
        amid_nan(hidden.to(dtype), aligned=aligned),
        amid_nan(weight.to(dtype), aligned=aligned),
        targets,
        slice(FIRST, FIRST + columns),
        TileHead(bias, HeadOptions(**head), torch.float32),
    )
    anchor, own = torch.randn(2, tokens, device=DEVICE).unbind()
    return Given(tile, anchor + 2, own)


def run(
    tiles: TorchTiles,
    case: Given,
    *,
    statistics: bool = False,
    write: bool = True,
    backward: bool = False,
) -> tuple[Sums, Tensor | None]:
    sums = Sums.zeros(case.anchor, statistics=statistics)
    rows = {"own": case.own} if backward else {}
    tile = tiles.exponentials(case.tile, case.anchor, sums=sums, write=write, **rows)
    return sums, tile


def small() -> TritonTiles:
    return TritonTiles(SMALL, ROWS)


def assert_near(ours: tuple[Sums, Tensor | None], exact: tuple[Sums, Tensor | None]) -> None:
    for name, expected in vars(exact[0]).items():
        found = getattr(ours[0], name)
        if expected is None:
            assert found is None, name
        elif len(expected):
            scale = float(expected[expected.isfinite()].abs().max())
            torch.testing.assert_close(
                found.double(),
                expected,
                rtol=1e-5,
                atol=1e-6 * scale,
                msg=lambda m: f"{name}: {m}",  # noqa: B023
            )
    assert (ours[1] is None) == (exact[1] is None)
    if ours[1] is not None and exact[1] is not None:
        # the interpreter cuts bfloat16 off where a GPU rounds
        relative = 2**-7 if ours[1].dtype == torch.bfloat16 else 2e-5
        torch.testing.assert_close(ours[1].double(), exact[1], rtol=relative, atol=1e-7)


def test_the_kernels_can_run_here() -> None:
    assert unavailable_reason() is None


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_forward_tile_equals_that_of_torch_in_float64(
    dtype: torch.dtype, head: dict[str, Any]
) -> None:
    for shape in SHAPES[:3]:
        case = given(shape, dtype, **head)
        exact = run(TorchTiles(), case.exact(), statistics=True)
        assert_near(run(small(), case, statistics=True), exact)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_descriptors_read_what_pointers_do(
    head: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs go through several blocks each, and NaN lies past every edge."""
    made: list[Any] = []
    described = tiles_module._described

    def counted(*arguments: Any) -> Any:
        made.append(arguments)
        return described(*arguments)

    monkeypatch.setattr(tiles_module, "_described", counted)
    for shape in SHAPES:
        case = given(shape, torch.bfloat16, aligned=True, **head)
        for backward in (False, True):
            exact = run(TorchTiles(), case.exact(), statistics=not backward, backward=backward)
            ours = run(small(), case, statistics=not backward, backward=backward)
            assert_near(ours, exact)
            pointers = TritonTiles(replace(SMALL, persistent=False), ROWS)
            theirs = run(pointers, case, statistics=not backward, backward=backward)
            assert ours[1] is not None
            assert torch.equal(ours[1], theirs[1])
    assert len(made) == 2 * 2 * len(SHAPES)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_products_of_targets_and_combined_rows_equal_those_of_torch(dtype: torch.dtype) -> None:
    hidden, weight = amid_nan(torch.randn(37, 1100).to(dtype)), torch.randn(90, 1100).to(dtype)
    weight, index = amid_nan(weight), torch.randint(90, (37,), device=DEVICE)
    factors, shares = torch.randn(2, 37, device=DEVICE).unbind()
    other = amid_nan(torch.randn(37, 1100))
    found = small().target_products(hidden, weight, index)
    exact = TorchTiles().target_products(hidden.double(), weight.double(), index)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)
    for more in ((), (index,), (index, shares, other), (None, shares, other)):
        matrix = hidden if not more or more[0] is None else weight
        ours, torchs = torch.full_like(hidden, torch.nan), torch.full_like(hidden, torch.nan)
        ours = ours.contiguous()
        small().combine(ours, factors, matrix, *more)
        copies = (*more[:2], more[2].clone()) if len(more) == 3 else more
        TorchTiles().combine(torchs, factors, matrix, *copies)
        # the interpreter cuts bfloat16 off where a GPU rounds
        torch.testing.assert_close(
            ours, torchs, rtol=2**-7 if dtype != torch.float32 else 1e-6, atol=1e-6
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tile_that_is_not_written_leaves_the_same_sums(dtype: torch.dtype) -> None:
    """A program then goes through several blocks of columns in turn."""
    case = given((33, 333, 33), dtype, bias=True)
    for statistics in (False, True):
        exact = run(TorchTiles(), case.exact(), statistics=statistics, write=False)
        assert_near(run(small(), case, statistics=statistics, write=False), exact)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_backward_tile_equals_that_of_torch_in_float64(
    dtype: torch.dtype, head: dict[str, Any]
) -> None:
    case = given(SHAPES[2], dtype, **head)
    exact = run(TorchTiles(), case.exact(), backward=True)
    assert_near(run(small(), case, backward=True), exact)
    alone = small().exponentials(case.tile, case.anchor, own=case.own)
    assert_near((exact[0], alone), exact)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tile_is_written_where_it_is_wanted(dtype: torch.dtype) -> None:
    case = given(SHAPES[2], dtype, softcap=30.0, bias=True)
    exact = run(TorchTiles(), case.exact())
    room = amid_nan(torch.zeros(SHAPES[2][:2], dtype=dtype))
    sums = Sums.zeros(case.anchor, statistics=False)
    assert small().exponentials(case.tile, case.anchor, sums=sums, out=room) is room
    assert_near((sums, room), exact)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_shipped_launches_compute_the_same(dtype: torch.dtype) -> None:
    case = given((130, 300, 72), dtype)
    for write in (False, True):
        exact = run(TorchTiles(), case.exact(), statistics=True, write=write)
        assert_near(run(TritonTiles(), case, statistics=True, write=write), exact)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("softcap", [None, 30.0])
def test_a_logit_that_is_nan_is_not_made_a_number(
    softcap: float | None, dtype: torch.dtype
) -> None:
    case = given(SHAPES[2], dtype, softcap=softcap)
    case.tile.hidden[41, 3] = torch.nan
    sums, tile = run(small(), case, statistics=True)
    expected = [row == 41 for row in range(SHAPES[2][0])]
    assert tile is not None
    for values in (*vars(sums).values(), tile.sum(1)):
        assert values.isnan().tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_column_of_bias_minus_infinity_counts_for_nothing(dtype: torch.dtype) -> None:
    case = given(SHAPES[2], dtype, bias=True)
    assert case.tile.head.bias is not None
    case.tile.head.bias[FIRST + 17] = -torch.inf
    sums, tile = run(small(), case, statistics=True)
    exact, _ = run(TorchTiles(), case.exact(), statistics=True)
    assert tile is not None
    assert not tile[:, 17].any()
    for name in ("exponentials", "weighted", "largest"):
        torch.testing.assert_close(
            getattr(sums, name).double(), getattr(exact, name), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_exponents_are_cut_where_sums_stay_finite(dtype: torch.dtype) -> None:
    case = given(SHAPES[2], dtype)
    case = replace(case, anchor=torch.full_like(case.anchor, -1e4))
    sums, _ = run(small(), case)
    outside = ~((case.tile.targets >= FIRST) & (case.tile.targets < FIRST + SHAPES[2][1]))
    counted = SHAPES[2][1] - (~outside).double()
    expected = counted * torch.tensor(MAX_EXPONENT, dtype=torch.float64).exp()
    torch.testing.assert_close(sums.exponentials.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.24, 0.26, 3.0, 12.0, 1e4])
def test_the_softcap_keeps_its_digits_near_zero_and_where_it_saturates(size: float) -> None:
    """Products of size * cap: the logits and their slope against float64."""
    products = size * torch.tensor([[-1.0, 0.5, 1.0, 0.25]], dtype=torch.float64).to(torch.float32)
    head = TileHead(None, HeadOptions(softcap=1.0), torch.float32)
    factors = torch.ones(1, 1, device=DEVICE), products.T.to(DEVICE)
    outside = torch.tensor([-1], device=DEVICE)
    tile = Tile(*factors, outside, slice(0, 4), head)
    sums = Sums.zeros(torch.zeros(1, device=DEVICE), statistics=True)
    e = small().exponentials(tile, torch.zeros(1, device=DEVICE), sums=sums)
    exact = products.double().tanh()
    assert e is not None
    assert sums.largest is not None
    torch.testing.assert_close(sums.largest.cpu().double(), exact.amax(1), rtol=5e-7, atol=0)
    slopes = e.cpu().double() / exact.exp()
    torch.testing.assert_close(slopes, products.double().cosh() ** -2.0, rtol=3e-6, atol=1e-37)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_the_same_input_gives_the_same_bits(dtype: torch.dtype) -> None:
    case = given(SHAPES[2], dtype, bias=True)
    (first, tile), (second, again) = (run(small(), case, statistics=True) for _ in range(2))
    assert tile is not None
    assert again is not None
    assert torch.equal(tile, again)
    for name, values in vars(first).items():
        assert torch.equal(values, getattr(second, name)), name


def test_sums_are_added_to_those_of_earlier_tiles() -> None:
    case = given(SHAPES[2], torch.bfloat16)
    once, _ = run(small(), case, statistics=True)
    twice = Sums.zeros(case.anchor, statistics=True)
    for _ in range(2):
        small().exponentials(case.tile, case.anchor, sums=twice, write=False)
    for name in ("exponentials", "weighted", "logits"):
        torch.testing.assert_close(getattr(twice, name), 2 * getattr(once, name))
    assert once.largest is not None
    assert twice.largest is not None
    assert torch.equal(twice.largest, once.largest)


def test_float64_takes_the_operations_of_torch() -> None:
    case = given(SHAPES[2], torch.float32, bias=True).exact()
    assert_near(run(small(), case), run(TorchTiles(), case))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_products_are_accumulated_in_float32(dtype: torch.dtype) -> None:
    left, right = torch.randn(33, 70).to(dtype), torch.randn(70, 21).to(dtype)
    total = torch.randn(33, 21)
    expected = total.double() + left.double() @ right.double()
    total = total.to(DEVICE)
    TritonTiles().accumulate(total, left.to(DEVICE), right.to(DEVICE))
    torch.testing.assert_close(total.cpu().double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 200, 2048, 24576, 100_000])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_tiles_are_of_bounded_size(dtype: torch.dtype, tokens: int) -> None:
    tiles = TritonTiles()
    for all_tokens in (False, True):
        rows, columns = tiles.shape(tokens, dtype, all_tokens=all_tokens)
        limit = 4 * configs.TILE_BYTES * dtype.itemsize // 2 if all_tokens else configs.TILE_BYTES
        assert 0 < rows * columns * dtype.itemsize <= limit
        assert columns % 256 == 0
        assert rows <= tokens
    assert tiles.shape(tokens, dtype, all_tokens=True)[0] == min(tokens, configs.MOST_TOKENS)


def test_every_family_of_gpus_has_its_launches() -> None:
    known = {
        (8, 0): 80,
        (8, 6): 80,
        (8, 9): 80,
        (9, 0): 90,
        (10, 0): 100,
        (10, 3): 100,
        (12, 0): 80,
    }
    for capability, family in known.items():
        assert configs.family(capability) == family
    kinds = ("plain", "options", "statistics")
    assert set(configs.HEAD) == {(family, kind) for family in known.values() for kind in kinds}
    for family in (80, 90, 100):
        for options in (False, True):
            launch = configs.head_launch(family, statistics=True, options=options)
            assert launch is configs.HEAD[family, "statistics"]
        assert (
            configs.head_launch(family, statistics=False, options=True)
            is (configs.HEAD[family, "options"])
        )
    for launch in configs.HEAD.values():
        assert launch.block_v % launch.parts == 0
