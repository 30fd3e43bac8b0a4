"""A step cut into parts: its loss and gradients are those of the whole step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clairkit.losses import LOSSES, parse_loss, preference_loss

CUTS = [[[0, 1, 2, 3, 4, 5]], [[5, 0], [3], [1, 4, 2]], [[0], [1], [2], [3], [4], [5]]]
CHOSEN, REJECTED = torch.tensor([5, 9, 2, 11, 4, 1]), torch.tensor([7, 3, 4, 6, 8, 20])
# a side of each is absent, or has no token that counts
ONE_SIDED = torch.tensor([5, 0, 2, 11, 0, 1]), torch.tensor([0, 3, 4, 0, 8, 20])


def logps(*lengths: Tensor) -> list[Tensor]:
    torch.manual_seed(5)
    sides = [(torch.randn(6).double() * 4 - 60) * (size > 0) for size in (*lengths, *lengths)]
    return [side.requires_grad_() for side in sides[:2]] + sides[2:]


def in_parts(
    loss: str, given: list[Tensor], lengths: tuple[Tensor, Tensor], cut: list[list[int]]
) -> Tensor:
    chosen, rejected = lengths
    means = {
        "mean_chosen_length": float(chosen.sum()) / len(chosen),
        "mean_sides": float((chosen > 0).sum() + (rejected > 0).sum()) / len(chosen),
    }
    total = torch.zeros(()).double()
    for part in cut:
        sides = [tensor[part] for tensor in given]
        result = preference_loss(
            *sides, loss=loss, chosen_lengths=chosen[part], rejected_lengths=rejected[part], **means
        )
        total = total + result.loss * len(part) / len(chosen)
    return total


def whole(loss: str, given: list[Tensor], lengths: tuple[Tensor, Tensor]) -> Tensor:
    sizes = dict(zip(("chosen_lengths", "rejected_lengths"), lengths, strict=True))
    return preference_loss(*given, loss=loss, **sizes).loss


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "loss",
    [*(name for name, loss in LOSSES.items() if not loss.coupled), "apo_zero+0.1*sft"],
)
def test_parts_sum_up_to_the_whole(loss: str, cut: list[list[int]]) -> None:
    all_lengths = [(CHOSEN, REJECTED)]
    if not parse_loss(loss).needs_both:
        all_lengths.append(ONE_SIDED)
    for lengths in all_lengths:
        given = logps(*lengths)
        expected, found = whole(loss, given, lengths), in_parts(loss, given, lengths, cut)
        # lengths are divided by in float32
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-12)
        gradients = (
            torch.autograd.grad(each, given[:2], allow_unused=True, materialize_grads=True)
            for each in (found, expected)
        )
        for ours, theirs in zip(*gradients, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.coupled])
def test_a_coupled_loss_is_another_one_in_parts(loss: str) -> None:
    given, lengths = logps(CHOSEN, REJECTED), (CHOSEN, REJECTED)
    expected = whole(loss, given, lengths)
    torch.testing.assert_close(in_parts(loss, given, lengths, CUTS[0]), expected)
    assert abs(float((in_parts(loss, given, lengths, CUTS[1]) - expected).detach())) > 1e-3


def test_without_the_steps_means_sft_would_differ() -> None:
    given, lengths = logps(CHOSEN, REJECTED), (CHOSEN, REJECTED)
    shares = [
        preference_loss(*(t[part] for t in given), loss="sft", chosen_lengths=CHOSEN[part]).loss
        * len(part)
        / 6
        for part in CUTS[1]
    ]
    assert abs(float((sum(shares) - whole("sft", given, lengths)).detach())) > 1e-2
