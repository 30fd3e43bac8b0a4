"""Memory that passes hand on: what one left must not show in another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from head_cases import inputs
from torch import Tensor

from clairkit.kernels import linear_logps
from clairkit.kernels.spare import Spare

BACKENDS = ("torch", "native")
KEEP = 1 << 30


def leaves_of(given: list[Tensor]) -> list[Tensor]:
    return [tensor.detach().requires_grad_() for tensor in given[:2]]


def loss_of(leaves: list[Tensor], given: list[Tensor], backend: str) -> Tensor:
    logps = linear_logps(*leaves, given[3], backend=backend, memory_budget=KEEP)
    return (logps * given[4]).sum()


def gradients(given: list[Tensor], backend: str) -> tuple[Tensor, ...]:
    leaves = leaves_of(given)
    return torch.autograd.grad(loss_of(leaves, given, backend), leaves)


def assert_same(ours: Any, right: Any) -> None:
    for a, b in zip(ours, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.fixture
def cases() -> list[list[Tensor]]:
    torch.manual_seed(21)
    return [inputs(tokens, 3001, torch.float32) for tokens in (90, 50, 120)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_passes_that_are_under_way_together(
    backend: str, order: tuple[int, ...], cases: list[list[Tensor]]
) -> None:
    right = [gradients(given, "eager") for given in cases]
    leaves = [leaves_of(given) for given in cases]
    losses = [loss_of(leaf, given, backend) for leaf, given in zip(leaves, cases, strict=True)]
    for one in order:
        found = torch.autograd.grad(losses[one], leaves[one])
        for ours, exact in zip(found, right[one], strict=True):
            torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_retained_graph_gives_the_same_after_others_took_its_memory(
    backend: str, cases: list[list[Tensor]]
) -> None:
    leaves = leaves_of(cases[0])
    loss = loss_of(leaves, cases[0], backend)
    once = torch.autograd.grad(loss, leaves, retain_graph=True)
    other = gradients(cases[2], backend)
    assert_same(torch.autograd.grad(loss, leaves, retain_graph=True), once)
    assert_same(gradients(cases[2], backend), other)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inference_mode_leaves_nothing_that_training_could_not_write(
    backend: str, cases: list[list[Tensor]]
) -> None:
    with torch.inference_mode():
        linear_logps(*cases[0][:2], cases[0][3], backend=backend)
    first = gradients(cases[1], backend)
    with torch.inference_mode():
        linear_logps(*cases[0][:2], cases[0][3], backend=backend)
    assert all(map(torch.equal, gradients(cases[1], backend), first))


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_do_not_share_what_they_took(backend: str, cases: list[list[Tensor]]) -> None:
    right = [gradients(given, backend) for given in cases]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(5):
            found = pool.map(lambda given: gradients(given, backend), cases)
            for ours, expected in zip(found, right, strict=True):
                assert_same(ours, expected)


def test_one_thing_is_held_and_taken_once() -> None:
    spare: Spare[int] = Spare()
    assert spare.take() is None
    spare.leave(1)
    spare.leave(2)
    assert [spare.take(), spare.take()] == [1, None]
