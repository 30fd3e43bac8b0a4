"""The C pass: its variants against each other and against torch, and what importing it leaves."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clairkit.kernels import _native
from clairkit.kernels.native import NativeTiles
from clairkit.kernels.options import HeadOptions
from clairkit.kernels.tiles import TileHead, TorchTiles

VARIANTS = range(len(_native.variant_names()))


def test_the_portable_variant_is_always_there_and_last() -> None:
    assert _native.variant_names()[-1] == "portable"


@settings(max_examples=60, deadline=None)
@given(
    variant=st.sampled_from(VARIANTS),
    half=st.booleans(),
    softcap=st.sampled_from([None, 4.0, 30.0, 1000.0]),
    scale=st.sampled_from([1.0, 0.25, -2.0]),
    biased=st.booleans(),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 130)),
    seed=st.integers(0, 2**31),
)
def test_tiles_equal_those_of_torch_in_float64(
    variant: int,
    half: bool,
    softcap: float | None,
    scale: float,
    biased: bool,
    shape: tuple[int, int],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    rows, width = shape
    columns = slice(10, 10 + width)
    dtype = torch.bfloat16 if half else torch.float32
    z = (4 * torch.randn(shape)).to(dtype)
    head = TileHead(
        torch.randn(200) if biased else None, HeadOptions(softcap, scale), torch.float32
    )
    targets = torch.randint(0, 160, (rows,))  # some lie outside of the tile
    shift, factors = torch.randn(rows) + 5, torch.randn(rows)
    logps = -torch.rand(rows) * 5
    native, plain = NativeTiles(variant), TorchTiles()
    exact = TileHead(head.bias, head.options, torch.float64)

    sums, weighted = native.exponentials(z.clone(), columns, targets, shift, head)
    expected_sums, expected = plain.exponentials(
        z.double(), columns, targets, shift.double(), exact
    )
    torch.testing.assert_close(sums.double(), expected_sums, rtol=2e-5, atol=1e-6)
    close = {"rtol": 8e-3, "atol": 1e-6} if half else {"rtol": 5e-5, "atol": 1e-6}
    torch.testing.assert_close(weighted.double(), expected, **close)

    lse = plain.maximum(z.double(), columns, exact) + 1  # no probability above 1
    gradient = native.gradient(z.clone(), columns, targets, lse.float(), logps, factors, head)
    expected = plain.gradient(
        z.double(), columns, targets, lse, logps.double(), factors.double(), exact
    )
    torch.testing.assert_close(gradient.double(), expected, **close)


def test_threads_share_the_rows_without_changing_a_bit() -> None:
    torch.manual_seed(0)
    z, targets, shift = torch.randn(301, 700), torch.randint(700, (301,)), torch.randn(301)
    head = TileHead(None, HeadOptions(), torch.float32)
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            arguments = (slice(0, 700), targets, shift, head)
            results.append(NativeTiles().exponentials(z.clone(), *arguments))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_exponentials_at_the_ends_of_their_range(variant: int) -> None:
    z = torch.tensor([[-1e4, -87.0, -1.0, 0.0, 1.0, 75.9, 1e4]])
    head = TileHead(None, HeadOptions(), torch.float32)
    outside = torch.tensor([-5])
    sums, e = NativeTiles(variant).exponentials(
        z.clone(), slice(0, 7), outside, torch.zeros(1), head
    )
    exact = z.double().clamp(-87.0, 76.0).exp()
    torch.testing.assert_close(e.double(), exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(sums.double(), exact.sum(1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("softcap", [None, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_logit_that_is_nan_is_not_made_a_number(
    variant: int, softcap: float | None, dtype: torch.dtype
) -> None:
    z = torch.randn(3, 70).to(dtype)
    z[1, 41] = float("nan")
    head = TileHead(None, HeadOptions(softcap), torch.float32)
    sums, _ = NativeTiles(variant).exponentials(
        z, slice(0, 70), torch.full((3,), -1), torch.zeros(3), head
    )
    assert sums.isnan().tolist() == [False, True, False]


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="variant must lie"):
        _native.tile_pass(0, 0, 0, 0, 0, 0, 0, 1, 0.0, 1.0, 0, 0, False, False, 9)


def test_importing_it_leaves_denormals_alone() -> None:
    """GCC's -ffast-math links code that flushes them for the whole process."""
    code = "import clairkit.kernels._native; x = 5e-324 * 3; assert x / 3 == 5e-324, x"
    subprocess.run([sys.executable, "-c", code], check=True)
