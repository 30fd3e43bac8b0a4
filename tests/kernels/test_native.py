"""The C pass: its variants against each other and against torch, and what importing it leaves."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clairkit.kernels import _native
from clairkit.kernels.native import NativeTiles
from clairkit.kernels.options import HeadOptions
from clairkit.kernels.tiles import Sums, Tile, TileHead, TorchTiles

VARIANTS = range(len(_native.variant_names()))
HEAD = TileHead(None, HeadOptions(), torch.float32)


def test_the_portable_variant_is_always_there_and_last() -> None:
    assert _native.variant_names()[-1] == "portable"


def tile_of(z: Tensor, targets: Tensor, head: TileHead, start: int = 0) -> Tile:
    """A tile whose products are z [T, C]."""
    width = z.shape[1]
    return Tile(z, torch.eye(width, dtype=z.dtype), targets, slice(start, start + width), head)


@settings(max_examples=80, deadline=None)
@given(
    variant=st.sampled_from(VARIANTS),
    half=st.booleans(),
    softcap=st.sampled_from([None, 4.0, 30.0, 1000.0]),
    scale=st.sampled_from([1.0, 0.25, -2.0]),
    biased=st.booleans(),
    statistics=st.booleans(),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 130)),
    seed=st.integers(0, 2**31),
)
def test_tiles_equal_those_of_torch_in_float64(
    variant: int,
    half: bool,
    softcap: float | None,
    scale: float,
    biased: bool,
    statistics: bool,
    shape: tuple[int, int],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    rows = shape[0]
    z = (4 * torch.randn(shape)).to(torch.bfloat16 if half else torch.float32)
    bias, options = torch.randn(200) if biased else None, HeadOptions(softcap, scale)
    targets = torch.randint(0, 160, (rows,))  # some lie outside of the tile
    anchor, own = torch.randn(rows) + 5, torch.randn(rows)
    tile = tile_of(z, targets, TileHead(bias, options, torch.float32), 10)
    exact = tile_of(z.double(), targets, TileHead(bias, options, torch.float64), 10)
    sums = Sums.zeros(anchor, statistics=statistics)
    expected_sums = Sums.zeros(anchor.double(), statistics=statistics)
    native = NativeTiles(variant)

    result = native.exponentials(tile, anchor, sums=sums, own=own)
    expected = TorchTiles().exponentials(
        exact, anchor.double(), sums=expected_sums, own=own.double()
    )
    close = {"rtol": 8e-3, "atol": 1e-6} if half else {"rtol": 5e-5, "atol": 1e-6}
    torch.testing.assert_close(result.double(), expected, **close)
    for field in fields(Sums):
        ours, right = getattr(sums, field.name), getattr(expected_sums, field.name)
        assert (ours is None) == (right is None)
        if ours is not None:
            torch.testing.assert_close(ours.double(), right, rtol=2e-5, atol=1e-4)

    unwritten = Sums.zeros(anchor, statistics=statistics)
    assert native.exponentials(tile, anchor, sums=unwritten, write=False) is None
    assert torch.equal(unwritten.exponentials, sums.exponentials)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "options",
    [HeadOptions(), HeadOptions(None, -0.75), HeadOptions(30.0, 1.5), HeadOptions(30.0, -1.5)],
    ids=str,
)
@pytest.mark.parametrize("biased", [False, True])
def test_rounded_products_that_hold_a_rows_mass_are_made_again(
    variant: int, options: HeadOptions, biased: bool
) -> None:
    torch.manual_seed(3)
    hidden, weight = (4 * torch.randn(31, 64)).bfloat16(), torch.randn(2500, 64).bfloat16()
    head = TileHead(torch.randn(3000) if biased else None, options, torch.float32)
    wide = TileHead(None if head.bias is None else head.bias.double(), options, torch.float64)
    targets, columns = torch.randint(3000, (31,)), slice(100, 2600)
    exact = Tile(hidden.double(), weight.double(), targets, columns, wide)
    anchor = wide.logits(hidden.double() @ weight.double().T, columns)[0].amax(1)
    right, ours, rounded = (
        Sums.zeros(anchor.to(t), statistics=True)
        for t in (torch.float64, torch.float32, torch.float32)
    )
    expected = TorchTiles().exponentials(exact, anchor, sums=right)
    tile = Tile(hidden, weight, targets, columns, head)
    result = NativeTiles(variant).exponentials(tile, anchor.float(), sums=ours)
    # products of float32 hidden states are not made again
    plain = tile_of((hidden @ weight.T).float(), targets, head, 100)
    TorchTiles().exponentials(plain, anchor.float(), sums=rounded)
    error = (ours.exponentials.double() - right.exponentials).abs().mean()
    assert error < 0.5 * (rounded.exponentials.double() - right.exponentials).abs().mean()
    if options.softcap is not None:
        return  # what is saturated has no slope
    large = expected.abs() > right.exponentials[:, None] / 20
    assert bool(large.any())
    torch.testing.assert_close(result[large].double(), expected[large], rtol=5e-3, atol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("depth", [1, 33, 64])
def test_as_many_products_as_there_are_can_be_made_again(variant: int, depth: int) -> None:
    torch.manual_seed(5)
    hidden, weight = torch.randn(3, depth).bfloat16(), torch.randn(9001, depth).bfloat16()
    targets, columns = torch.tensor([0, 8191, 9000]), slice(0, 9001)
    wide = TileHead(None, HEAD.options, torch.float64)
    exact = Tile(hidden.double(), weight.double(), targets, columns, wide)
    anchor, own = torch.zeros(3), torch.rand(3)
    right, ours = (
        Sums.zeros(anchor.to(t), statistics=True) for t in (torch.float64, torch.float32)
    )
    expected = TorchTiles().exponentials(exact, anchor.double(), sums=right, own=own.double())
    tile = Tile(hidden, weight, targets, columns, HEAD)
    low = torch.full((3,), 1e-30)  # each column's share of it is large
    result = NativeTiles(variant).exponentials(tile, anchor, sums=ours, own=own, totals=low)
    torch.testing.assert_close(result.double(), expected, rtol=4e-3, atol=1e-30)
    for name in ("exponentials", "weighted", "logits"):
        torch.testing.assert_close(
            getattr(ours, name).double(), getattr(right, name), rtol=5e-5, atol=1e-2
        )


@pytest.mark.parametrize("variant", VARIANTS)
def test_sums_are_added_to(variant: int) -> None:
    tile = tile_of(torch.randn(5, 33), torch.full((5,), -1), HEAD)
    anchor, sums = torch.randn(5), Sums.zeros(torch.zeros(5), statistics=True)
    once = Sums.zeros(torch.zeros(5), statistics=True)
    for target in (once, sums, sums):
        NativeTiles(variant).exponentials(tile, anchor, sums=target, write=False)
    for name in ("exponentials", "weighted", "logits"):
        torch.testing.assert_close(getattr(sums, name), 2 * getattr(once, name))
    assert torch.equal(sums.largest, once.largest)


def test_threads_share_the_rows_without_changing_a_bit() -> None:
    torch.manual_seed(0)
    tile = tile_of(torch.randn(301, 700), torch.randint(700, (301,)), HEAD)
    anchor, results, threads = torch.randn(301), [], torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            sums = Sums.zeros(anchor, statistics=False)
            result = NativeTiles().exponentials(tile, anchor, sums=sums)
            results.append((sums.exponentials, result))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_it_shares_the_threads_of_torch() -> None:
    assert _native.shares_threads() == torch.backends.openmp.is_available()


@pytest.mark.slow
def test_a_forked_process_can_use_it() -> None:
    """A pool of threads does not live through a fork; a pass that waits for it would hang."""
    code = """if True:
        import os, torch
        from clairkit.kernels import linear_logps
        torch.set_num_threads(2)
        inputs = torch.randn(300, 16), torch.randn(900, 16), torch.randint(900, (300,))
        expected = linear_logps(*inputs, backend="native")
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            os._exit(not torch.equal(linear_logps(*inputs, backend="native"), expected))
        assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("variant", VARIANTS)
def test_exponentials_at_the_ends_of_their_range(variant: int) -> None:
    z = torch.tensor([[-1e4, -87.0, -1.0, 0.0, 1.0, 75.9, 1e4]])
    sums = Sums.zeros(torch.zeros(1), statistics=False)
    tile = tile_of(z, torch.tensor([-5]), HEAD)
    e = NativeTiles(variant).exponentials(tile, torch.zeros(1), sums=sums)
    exact = z.double().clamp(-87.0, 76.0).exp()
    torch.testing.assert_close(e.double(), exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(sums.exponentials.double(), exact.sum(1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rows_before_and_after_the_tiles_equal_those_of_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(7)
    hidden, weight = torch.randn(123, 37).to(dtype), torch.randn(70, 37).to(dtype)
    targets, factors, shares = torch.randint(70, (123,)), torch.randn(123), torch.randn(123)
    total = torch.randn(123, 37)
    exact = (hidden.double() * weight[targets].double()).sum(1)
    dots = NativeTiles().target_products(hidden, weight, targets)
    torch.testing.assert_close(dots.double(), exact, rtol=1e-5, atol=1e-5)
    close = {"rtol": 8e-3, "atol": 2e-3} if dtype == torch.bfloat16 else {}
    result = torch.full_like(hidden, float("nan"))
    NativeTiles().combine(result, factors, weight, targets, shares, total.clone())
    expected = factors[:, None] * weight[targets].float() + shares[:, None] * total
    torch.testing.assert_close(result.float(), expected, **close)
    NativeTiles().combine(result, factors, hidden)
    torch.testing.assert_close(result.float(), factors[:, None] * hidden.float(), **close)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("softcap", [None, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_logit_that_is_nan_is_not_made_a_number(
    variant: int, softcap: float | None, dtype: torch.dtype
) -> None:
    z = torch.randn(3, 70).to(dtype)
    z[1, 41] = float("nan")
    tile = tile_of(z, torch.full((3,), -1), TileHead(None, HeadOptions(softcap), torch.float32))
    sums = Sums.zeros(torch.zeros(3), statistics=False)
    NativeTiles(variant).exponentials(tile, torch.zeros(3), sums=sums)
    assert sums.exponentials.isnan().tolist() == [False, True, False]


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="variant must lie"):
        _native.tile_pass((0,) * 13, (0, 1, 1, 1, 1, 1, 1), 0.0, 1.0, False, 9, 1)


@pytest.mark.slow
def test_importing_it_leaves_denormals_alone() -> None:
    """GCC's -ffast-math links code that flushes them for the whole process."""
    code = "import clairkit.kernels._native; x = 5e-324 * 3; assert x / 3 == 5e-324, x"
    subprocess.run([sys.executable, "-c", code], check=True)
