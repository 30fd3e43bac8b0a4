"""Pairs of which one side is absent: what the losses of single sides make of them."""

from __future__ import annotations

import math

import pytest
import torch

from clairkit.losses import LOSSES, preference_loss

BETA = 0.3
CHOSEN_LENGTHS, REJECTED_LENGTHS = torch.tensor([5, 0, 2, 4]), torch.tensor([0, 3, 6, 0])
LENGTHS = {"chosen_lengths": CHOSEN_LENGTHS, "rejected_lengths": REJECTED_LENGTHS}


def logps() -> list[torch.Tensor]:
    """Four sums [4], 0 where a side is absent."""
    torch.manual_seed(11)
    sides = [CHOSEN_LENGTHS > 0, REJECTED_LENGTHS > 0] * 2
    return [(torch.randn(4) * 3 - 20) * there for there in sides]


def test_losses_of_single_sides_are_named() -> None:
    assert {name for name, loss in LOSSES.items() if not loss.needs_both} == {
        "sft",
        "apo_zero_unpaired",
    }


def test_apo_zero_unpaired_is_the_mean_over_the_sides_that_are_there() -> None:
    chosen, rejected, ref_chosen, ref_rejected = given = logps()
    expected = [
        1 / (1 + math.exp(BETA * (float(chosen[i]) - float(ref_chosen[i])))) for i in (0, 2, 3)
    ] + [1 / (1 + math.exp(BETA * (float(ref_rejected[i]) - float(rejected[i])))) for i in (1, 2)]
    result = preference_loss(*given, loss="apo_zero_unpaired", beta=BETA, **LENGTHS)
    assert float(result.loss) == pytest.approx(sum(expected) / 5, rel=1e-6)
    assert result.rejected_rewards[[0, 3]].tolist() == [0, 0]
    assert float(result.chosen_rewards[1]) == 0


def test_each_absent_side_leaves_the_gradient_of_the_others() -> None:
    leaves = [tensor.requires_grad_() for tensor in logps()]
    result = preference_loss(*leaves, loss="apo_zero_unpaired", beta=BETA, **LENGTHS)
    chosen, rejected = torch.autograd.grad(result.loss, leaves[:2])
    assert (chosen != 0).tolist() == (CHOSEN_LENGTHS > 0).tolist()
    assert (rejected != 0).tolist() == (REJECTED_LENGTHS > 0).tolist()


def test_sft_is_the_token_mean_over_the_chosen_sides_that_are_there() -> None:
    given = logps()
    result = preference_loss(*given, loss="sft", **LENGTHS)
    assert float(result.loss) == pytest.approx(-float(given[0].sum()) / 11, rel=1e-6)


@pytest.mark.parametrize("name", ["sft", "apo_zero_unpaired"])
@pytest.mark.parametrize("means", [{}, {"mean_chosen_length": 0.0, "mean_sides": 0.0}])
def test_a_batch_without_a_side_that_counts_has_loss_0(name: str, means: dict[str, float]) -> None:
    zero = torch.zeros(2)
    lengths = {"chosen_lengths": zero, "rejected_lengths": zero}
    leaf = zero.clone().requires_grad_()
    result = preference_loss(leaf, leaf, zero, zero, loss=name, **lengths, **means)
    assert float(result.loss.detach()) == 0
    (gradient,) = torch.autograd.grad(result.loss, leaf)
    assert bool(gradient.isfinite().all())
