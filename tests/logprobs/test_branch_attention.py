"""A branch's attention in two pieces equals one softmax over all of its keys."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clairkit.logprobs.packed_attention import branch_attention

Pieces = tuple[Tensor, Tensor]


def one_softmax(query: Tensor, prefix: Pieces, branch: Pieces, scale: float) -> Tensor:
    groups = query.shape[1] // prefix[0].shape[1]
    keys, values = (
        torch.cat(parts, dim=2).repeat_interleave(groups, dim=1)
        for parts in zip(prefix, branch, strict=True)
    )
    rows, before = query.shape[2], prefix[0].shape[2]
    hidden = torch.ones(rows, before + rows, dtype=torch.bool).triu(before + 1)
    products = (scale * query @ keys.transpose(2, 3)).masked_fill(hidden, -torch.inf)
    return products.softmax(-1) @ values


def some_states(rows: int, before: int, heads: tuple[int, int]) -> list[Tensor]:
    torch.manual_seed(rows + before)
    shapes = [(heads[0], rows), (heads[1], before), (heads[1], before), (heads[1], rows)]
    return [
        torch.randn(1, count, length, 8, dtype=torch.float64, requires_grad=True)
        for count, length in [*shapes, shapes[-1]]
    ]


@pytest.mark.parametrize(("rows", "before"), [(1, 1), (3, 50), (70, 2), (600, 530)])
@pytest.mark.parametrize("heads", [(2, 2), (4, 1)])
def test_output_and_gradients(rows: int, before: int, heads: tuple[int, int]) -> None:
    states = some_states(rows, before, heads)
    query, prefix, branch = states[0], (states[1], states[2]), (states[3], states[4])
    ours = branch_attention(query, prefix, branch, 0.7)
    right = one_softmax(query, prefix, branch, 0.7)
    torch.testing.assert_close(ours, right, rtol=1e-10, atol=1e-12)
    weights = torch.randn_like(right)
    pairs = (torch.autograd.grad((out * weights).sum(), states) for out in (ours, right))
    for found, expected in zip(*pairs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_pieces_of_very_different_weight() -> None:
    """Scores far apart: one piece has all of the weight, and nothing overflows."""
    for sign in (-1.0, 1.0):
        states = [state.detach() for state in some_states(4, 5, (2, 2))]
        states[0][..., 0], states[1][..., 0] = 50.0, sign * 50.0
        query, prefix, branch = states[0], (states[1], states[2]), (states[3], states[4])
        torch.testing.assert_close(
            branch_attention(query, prefix, branch, 1.0), one_softmax(query, prefix, branch, 1.0)
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_narrower_numbers_stay_near(dtype: torch.dtype) -> None:
    exact = some_states(40, 60, (4, 2))
    states = [state.detach().to(dtype).requires_grad_() for state in exact]
    ours = branch_attention(states[0], (states[1], states[2]), (states[3], states[4]), 0.5)
    right = one_softmax(exact[0], (exact[1], exact[2]), (exact[3], exact[4]), 0.5)
    assert ours.dtype == dtype
    tolerance = 40 * torch.finfo(dtype).eps
    torch.testing.assert_close(ours.double(), right, rtol=tolerance, atol=tolerance)
    found = torch.autograd.grad(ours.double().sum(), states)
    for one, expected in zip(found, torch.autograd.grad(right.sum(), exact), strict=True):
        size = float(expected.abs().max())
        torch.testing.assert_close(one.double(), expected, rtol=0, atol=tolerance * size)
