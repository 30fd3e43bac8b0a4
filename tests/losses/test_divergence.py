"""f-divergences: scores against f' by autograd, losses made of them, and their far ends."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from clairkit.losses import LOSSES, preference_loss
from clairkit.losses.pairwise import DIVERGENCES

ALPHA = 0.3
LENGTHS = {"chosen_lengths": torch.tensor([5, 9, 2]), "rejected_lengths": torch.tensor([7, 3, 4])}
WITH = [name for name, loss in LOSSES.items() if "f_divergence_type" in loss.options]

# f of each divergence D = E_ref[f(u)] as papers have it, and the constant by which f' is shifted.
GENERATORS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "reverse_kl": (lambda u: u * u.log(), -1.0),
    "forward_kl": (lambda u: -u.log(), 1.0),
    "js_divergence": (lambda u: u * u.log() - (u + 1) * ((u + 1) / 2).log(), 0.0),
    # with the paper's alpha, b = 1 - a: (u^(1-b) - (1-b) u - b) / (b (b - 1))
    "alpha_divergence": (
        lambda u: (u**ALPHA - ALPHA * u - (1 - ALPHA)) / (-ALPHA * (1 - ALPHA)),
        0.0,
    ),
}


@pytest.mark.parametrize("name", list(GENERATORS))
def test_the_score_is_the_slope_of_f_at_the_ratio(name: str) -> None:
    log_ratio = torch.linspace(-6, 6, 41).double()
    ratio = log_ratio.exp().requires_grad_()
    generator, shift = GENERATORS[name]
    (slope,) = torch.autograd.grad(generator(ratio).sum(), ratio)
    torch.testing.assert_close(DIVERGENCES[name](log_ratio, ALPHA), slope + shift)


def test_alpha_goes_from_the_forward_to_the_reverse_kl() -> None:
    log_ratio = torch.linspace(-6, 6, 41).double()
    alpha = DIVERGENCES["alpha_divergence"]
    torch.testing.assert_close(alpha(log_ratio, 0.0), DIVERGENCES["forward_kl"](log_ratio, 0.5))
    assert torch.equal(alpha(log_ratio, 1.0), log_ratio)
    torch.testing.assert_close(alpha(log_ratio, 1 + 1e-7), log_ratio, rtol=1e-5, atol=1e-6)
    assert bool((alpha(log_ratio.float(), 1 - 1e-7) - log_ratio).abs().max() < 1e-5)


def expected_loss(name: str, divergence: str, given: list[Tensor]) -> list[float]:
    """The reverse KL's loss at scores: their reference is 0."""
    scores = [DIVERGENCES[divergence](given[side] - given[side + 2], ALPHA) for side in (0, 1)]
    zeros = [torch.zeros_like(score) for score in scores]
    values: list[float] = preference_loss(
        *scores, *zeros, loss=name, beta=0.2, **LENGTHS
    ).losses.tolist()
    return values


@pytest.mark.parametrize("divergence", [name for name in DIVERGENCES if name != "reverse_kl"])
@pytest.mark.parametrize("name", WITH)
def test_loss_and_gradient(name: str, divergence: str) -> None:
    torch.manual_seed(2)
    given = [torch.randn(3).double() - 30 for _ in range(4)]
    options = {"f_divergence_type": divergence}
    if divergence == "alpha_divergence":
        options["f_alpha_divergence_coef"] = ALPHA  # type: ignore[assignment]  # of two types

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        return preference_loss(
            chosen, rejected, *given[2:], loss=name, beta=0.2, **LENGTHS, **options
        ).losses

    found = loss(*given[:2])
    assert found.tolist() == pytest.approx(expected_loss(name, divergence, given), rel=1e-9)
    leaves = tuple(tensor.clone().requires_grad_() for tensor in given[:2])
    assert torch.autograd.gradcheck(loss, leaves, eps=1e-6, atol=1e-5)
    single = preference_loss(
        *(tensor.float() for tensor in given), loss=name, beta=0.2, **LENGTHS, **options
    )
    torch.testing.assert_close(single.losses, found.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha", [-3.0, 0.0, 0.5, 0.999, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("name", WITH)
def test_far_from_the_reference_all_is_finite(name: str, alpha: float) -> None:
    far = torch.tensor([-3000.0, -3000.0, 3000.0, 3000.0, -100.0])
    other = torch.tensor([-3000.0, 3000.0, -3000.0, 3000.0, 0.0])
    lengths = {f"{side}_lengths": torch.full((5,), 7) for side in ("chosen", "rejected")}
    for options in (
        {"f_divergence_type": "forward_kl"},
        {"f_divergence_type": "js_divergence"},
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": alpha},
    ):
        leaves = [far.clone().requires_grad_(), other.clone().requires_grad_()]
        zero = torch.zeros(5)
        result = preference_loss(
            *leaves,
            zero,
            zero,
            loss=name,
            beta=0.1,
            **lengths,
            **options,  # type: ignore[arg-type]
        )
        gradients = torch.autograd.grad(result.loss, leaves)
        assert math.isfinite(float(result.loss.detach()))
        assert bool(torch.stack(gradients).isfinite().all())


def test_rewards_are_those_of_the_log_ratio() -> None:
    given = [torch.randn(3) - 30 for _ in range(4)]
    result = preference_loss(*given, loss="sigmoid", beta=0.2, f_divergence_type="js_divergence")
    torch.testing.assert_close(result.chosen_rewards, 0.2 * (given[0] - given[2]))
