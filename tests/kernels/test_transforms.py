"""What torch makes of the op: compiled graphs, fake tensors, function transforms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from clairkit.kernels import linear_logps, linear_token_stats

BACKENDS = ("auto", "torch", "native")


def problem() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    targets = torch.randint(30, (6,))
    targets[2] = -100
    return torch.randn(6, 8), torch.randn(30, 8), targets


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("counted", [False, True])
def test_a_compiled_graph_has_no_break_and_the_same_numbers(
    backend: str, trained: bool, counted: bool
) -> None:
    hidden, weight, targets = problem()
    if counted:
        targets = targets.abs() % 30

    def call(hidden: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        return linear_token_stats(hidden * 1.0, weight, targets, backend=backend)

    results = []
    torch._dynamo.reset()
    for run in (call, torch.compile(call, fullgraph=True, backend="aot_eager")):
        leaves = [hidden.clone().requires_grad_(), weight.clone().requires_grad_(trained)]
        found = run(*leaves)
        wanted = leaves if trained else leaves[:1]
        results.append([*found, *torch.autograd.grad(found[0].square().sum(), wanted)])
    for ours, right in zip(*results, strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trained", [False, True])
def test_fake_tensors_give_fake_results(trained: bool) -> None:
    with FakeTensorMode():
        hidden = torch.randn(6, 8, requires_grad=True)
        weight = torch.randn(30, 8, requires_grad=trained)
        logps = linear_logps(hidden, weight, torch.zeros(6, dtype=torch.int64))
        logps.sum().backward()
        assert logps.shape == (6,)
        assert hidden.grad is not None
        assert hidden.grad.shape == (6, 8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_function_transforms_give_the_gradient_or_a_message(backend: str) -> None:
    hidden, weight, targets = problem()

    def loss(hidden: Tensor, **options: Any) -> Tensor:
        return linear_logps(hidden, weight, targets, **{"backend": backend, **options}).sum()

    leaf = hidden.clone().requires_grad_()
    right = torch.autograd.grad(loss(leaf, backend="eager"), leaf)[0]
    torch.testing.assert_close(torch.func.grad(loss)(hidden), right)
    with pytest.raises(RuntimeError, match="no forward-mode derivative: pass backend='eager'"):
        torch.func.jvp(loss, (hidden,), (hidden,))
    for function in (loss, torch.func.grad(loss)):
        with pytest.raises(RuntimeError, match="takes no vmap: make the batch rows of hidden"):
            torch.func.vmap(function)(torch.stack([hidden, hidden]))


def test_eager_takes_what_the_others_refuse() -> None:
    hidden, weight, targets = problem()
    targets = targets.abs() % 30

    def loss(hidden: Tensor) -> Tensor:
        return linear_logps(hidden, weight, targets, backend="eager").sum()

    each = torch.func.vmap(torch.func.grad(loss))(torch.stack([hidden, 2 * hidden]))
    torch.testing.assert_close(each[1], torch.func.grad(loss)(2 * hidden))
    slope = torch.func.jvp(loss, (hidden,), (hidden,))[1]
    torch.testing.assert_close(slope, (torch.func.grad(loss)(hidden) * hidden).sum())
