"""The bare products: that they are these products, so many operations, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from clairkit.bench.kernels import products
from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.problem import Problem
from clairkit.bench.kernels.products import Products, Tiling, fastest, tilings

CASE = KernelCase(301, 24, 46, "float32", "full")
TILES = [Tiling(46, 301), Tiling(16, 100), Tiling(46, 64), Tiling(1, 301)]


@pytest.fixture
def problem() -> Problem:
    return Problem.build(CASE, torch.device("cpu"), torch.zeros(2))


@pytest.mark.parametrize("tiling", TILES, ids=str)
@pytest.mark.parametrize("count", [4, 8, 6])
def test_what_is_computed_and_at_what_cost(count: int, tiling: Tiling, problem: Problem) -> None:
    bare = Products(problem, count, tiling)
    bare.tile.fill_(float("nan"))  # what is read must have been written before
    with FlopCounterMode(display=False) as counter:
        d_hidden, d_weight = bare.run()
    assert counter.get_total_flops() == count * CASE.tokens * CASE.vocabulary * CASE.hidden
    hidden, weight = problem.hidden.detach(), problem.weight.detach()
    logits = hidden @ weight.T
    torch.testing.assert_close(d_hidden, logits @ weight, rtol=1e-4, atol=1e-3)
    if count > 4:
        assert d_weight is not None
        torch.testing.assert_close(d_weight, logits.T @ hidden, rtol=1e-4, atol=1e-3)
    assert problem.hidden.grad is None


def test_tile_sizes_that_are_tried() -> None:
    small = tilings(64, 2048, 4, "cpu")
    assert small == [Tiling(64, 2048)]
    large = tilings(4096, 151936, 4, "cpu")
    assert Tiling(1024, 2048) in large
    assert Tiling(4096, 151936) not in large  # 2.5 GB
    assert Tiling(2048, 151936) in tilings(2048, 151936, 4, "cpu")
    assert Tiling(4096, 151936) in tilings(4096, 151936, 2, "cuda")


def test_the_fastest_tile_is_taken(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "tilings", lambda *_: TILES)
    took = dict(zip(TILES, (4.0, 3.0, 1.0, 2.0), strict=True))
    monkeypatch.setattr(products, "_probe", lambda problem, count, size, columns: took[size])
    assert fastest(problem, 8).tiling == TILES[2]
