"""Second derivatives are right, or refused; no curvature is left out in silence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.kernels import fused_preference, gather_logps, linear_logps

BACKENDS = ("torch", "native", "triton")
HEADS: tuple[dict[str, Any], ...] = ({}, {"softcap": 2.0, "logit_scale": -1.5})


def problem() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    hidden, weight = torch.randn(3, 3).double(), torch.randn(5, 3).double()
    targets = torch.randint(5, (3,))
    targets[1] = -100
    return hidden, weight, torch.randn(5).double(), targets


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_both_derivatives_are_those_of_finite_differences(
    backend: str, trained: bool, head: dict[str, Any]
) -> None:
    hidden, weight, bias, targets = problem()
    leaves = [hidden, weight, bias] if trained else [hidden]
    for leaf in leaves:
        leaf.requires_grad_()

    def call(*given: Tensor) -> Tensor:
        hidden, *others = given
        weight_now, bias_now = others or (weight, bias)
        return linear_logps(hidden, weight_now, targets, bias=bias_now, backend=backend, **head)

    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_loss_that_is_linear_in_log_probs_has_its_curvature(
    backend: str, trained: bool, dtype: torch.dtype
) -> None:
    """The gradient of the log-probs needs no gradient there, and nothing else would be missed."""
    hidden, weight, _, targets = problem()
    products = {}
    for name in (backend, "eager"):
        kind = torch.float64 if name == "eager" else dtype
        leaf = hidden.to(dtype).to(kind).requires_grad_()
        head = weight.to(dtype).to(kind).requires_grad_(trained)
        loss = -linear_logps(leaf.tanh(), head, targets, backend=name).mean()
        first = torch.autograd.grad(loss, leaf, create_graph=True)[0]
        products[name] = torch.autograd.grad(first.sum(), leaf)[0].double()
    error = (products[backend] - products["eager"]).norm() / products["eager"].norm()
    assert error < (1e-5 if dtype == torch.float32 else 3e-2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_graph_that_is_made_but_not_used_changes_no_gradient(backend: str) -> None:
    hidden, weight, _, targets = problem()
    leaf = hidden.float().requires_grad_()
    logps = linear_logps(leaf, weight.float(), targets, backend=backend)
    once = torch.autograd.grad(logps.sum(), leaf, create_graph=True)[0]
    again = torch.autograd.grad(logps.sum(), leaf)[0]
    torch.testing.assert_close(once.detach(), again)


@pytest.mark.parametrize("inplace", [False, True])
def test_log_probs_of_logits_have_their_curvature(inplace: bool) -> None:
    torch.manual_seed(1)
    values, targets = torch.randn(2, 3, 9).double(), torch.randint(9, (2, 3))
    targets[0, 1] = -100
    products = []
    for ours in (True, False):
        leaf = values.clone().requires_grad_()
        logits = leaf * 2.0
        if ours:
            logps = gather_logps(logits, targets, inplace=inplace)
        else:
            index = targets.clamp(min=0)[..., None]
            chosen = torch.log_softmax(logits, -1).gather(-1, index)[..., 0]
            logps = torch.where(targets == -100, 0.0, chosen)
        first = torch.autograd.grad(logps.mean(), leaf, create_graph=True)[0]
        products.append(torch.autograd.grad((first * values).sum(), leaf)[0])
    torch.testing.assert_close(*products)


def test_the_fused_loss_refuses_a_second_derivative_and_nothing_else() -> None:
    torch.manual_seed(2)
    logps = torch.randn(8).requires_grad_()
    offsets, reference = torch.tensor([0, 4, 8]), torch.zeros(2)
    loss = fused_preference(logps, offsets, reference, loss="apo_zero", beta=0.1).loss
    plain = torch.autograd.grad(loss, logps, retain_graph=True)[0]
    first = torch.autograd.grad(loss, logps, create_graph=True)[0]
    assert torch.equal(first.detach(), plain)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(first.sum(), logps)
