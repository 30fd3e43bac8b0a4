"""FlexAttention's mask and result, in its eager form on a CPU (which has no backward)."""

from __future__ import annotations

import pytest
import torch
from layouts import seen, some_layout
from torch import Tensor

from clairkit.errors import UsageError
from clairkit.logprobs.flex_attention import block_mask, flex_packed, seen_blocks
from clairkit.logprobs.packed_attention import packed_attention
from clairkit.logprobs.scores import Scores

BLOCK = 16


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clairkit.logprobs.flex_attention.BLOCK", BLOCK)


def by_block(mask: Tensor) -> Tensor:
    """Return [N, N, BLOCK * BLOCK]; beyond the end there is nothing to be seen."""
    count = -(-len(mask) // BLOCK)
    whole = torch.zeros(count * BLOCK, count * BLOCK, dtype=torch.bool)
    whole[: len(mask), : len(mask)] = mask
    return whole.view(count, BLOCK, count, BLOCK).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("window", [None, 5, 30])
def test_no_seen_block_is_missing_and_no_full_one_has_a_hole(window: int | None) -> None:
    full_blocks = 0
    for seed in range(12):
        layout = some_layout(seed, longest=70)
        blocks = by_block(seen(layout, window))
        part, full = seen_blocks(layout, window)
        assert not bool((part & full).any())
        assert not bool((blocks.any(-1) & ~(part | full)).any())
        assert bool(blocks[full].all())
        full_blocks += int(full.sum())
    assert full_blocks > 20 or window is not None


@pytest.mark.parametrize("window", [None, 5, 30])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_result_is_that_of_the_cpus_attention(window: int | None, softcap: float | None) -> None:
    for seed in range(4):
        layout = some_layout(seed, longest=70)
        torch.manual_seed(seed)
        query, key, value = (
            torch.randn(1, heads, layout.length, 16, dtype=torch.float64) for heads in (4, 2, 2)
        )
        scores = Scores(0.3, window, softcap)
        ours = flex_packed(query, key, value, layout, scores)
        right = packed_attention(query, key, value, layout, scores)
        torch.testing.assert_close(ours, right, rtol=1e-10, atol=1e-12)
        assert ours.is_contiguous()


def test_the_mask_is_made_once_for_each_window() -> None:
    layout = some_layout(1)
    device = torch.device("cpu")
    masks = [block_mask(layout, window, device) for window in (None, None, 5)]
    assert masks[0] is masks[1]
    assert masks[0] is not masks[2]


def test_dropout_is_refused() -> None:
    layout = some_layout(1)
    states = [torch.zeros(1, 1, layout.length, 16) for _ in range(3)]
    with pytest.raises(UsageError, match="attention dropout does not go with packed sequences"):
        flex_packed(*states, layout, Scores(1.0, dropout=0.1))
