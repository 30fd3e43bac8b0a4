"""How tokens and vocabulary are cut into tiles."""

from __future__ import annotations

import pytest
import torch

from clairkit.kernels.tiles import TorchTiles, WideTorchTiles


@pytest.mark.parametrize("tokens", [1, 255, 1024, 3000, 24_576])
@pytest.mark.parametrize("all_tokens", [False, True])
def test_tiles_for_a_matrix_unit_hold_four_times_as_much(
    monkeypatch: pytest.MonkeyPatch, tokens: int, all_tokens: bool
) -> None:
    sizes = {}
    for unit in (False, True):
        monkeypatch.setattr(TorchTiles, "matrix_unit", unit)
        for dtype in (torch.float32, torch.bfloat16):
            rows, columns = TorchTiles().shape(tokens, dtype, all_tokens=all_tokens)
            sizes[unit, dtype] = rows * columns
            large = unit and dtype == torch.bfloat16
            assert 1 <= rows <= tokens
            assert 256 <= columns <= 8192
            assert rows * columns <= (2**23 if large else 2**21)
            if all_tokens:
                assert rows == min(tokens, 8192)
    assert sizes[False, torch.bfloat16] == sizes[False, torch.float32] == sizes[True, torch.float32]
    assert sizes[True, torch.bfloat16] >= sizes[False, torch.bfloat16]
    if tokens >= 1024:
        assert sizes[True, torch.bfloat16] > 3.9 * sizes[False, torch.bfloat16]


def test_a_gpus_tiles_do_not_go_by_the_cpu() -> None:
    tiles = WideTorchTiles()
    assert tiles.shape(5000, torch.bfloat16) == tiles.shape(5000, torch.float32) == (4096, 8192)
