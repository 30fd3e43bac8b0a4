"""Memory that passes hand on: nothing that anyone can still reach, whatever the order."""

from __future__ import annotations

import functools
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from head_cases import inputs
from torch import Tensor
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from clairkit.kernels import buffer_cache, linear_logps
from clairkit.kernels.buffer_cache import Slot, lease

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
def test_a_retained_graph_gives_the_same_bits_whatever_runs_between(
    backend: str, cases: list[list[Tensor]]
) -> None:
    leaves = leaves_of(cases[0])
    loss = loss_of(leaves, cases[0], backend)
    once = torch.autograd.grad(loss, leaves, retain_graph=True)
    other = gradients(cases[2], backend)
    for _ in range(3):
        again = torch.autograd.grad(loss, leaves, retain_graph=True)
        assert all(map(torch.equal, again, once))
        assert all(map(torch.equal, gradients(cases[2], backend), other))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("keep", ["clone", "itself"])
def test_what_a_hook_holds_is_never_written(
    backend: str, keep: str, cases: list[list[Tensor]]
) -> None:
    held: list[Tensor] = []

    def pack(tensor: Tensor) -> int:
        held.append(tensor.clone() if keep == "clone" else tensor)
        return len(held) - 1

    leaves = leaves_of(cases[0])
    with torch.autograd.graph.saved_tensors_hooks(pack, held.__getitem__):
        loss = loss_of(leaves, cases[0], backend)
    before = [tensor.clone() for tensor in held]
    found = torch.autograd.grad(loss, leaves)
    for given in cases:
        gradients(given, backend)
    assert all(map(torch.equal, held, before))
    assert_same(found, gradients(cases[0], backend))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("save", ["mm", "everything", "nothing"])
def test_selective_checkpointing_gives_the_same_gradients(
    backend: str, save: str, cases: list[list[Tensor]]
) -> None:
    def policy(_: Any, operation: Any, *__: Any, **___: Any) -> CheckpointPolicy:
        wanted = save == "everything" or (save == "mm" and "mm" in str(operation))
        return CheckpointPolicy.MUST_SAVE if wanted else CheckpointPolicy.PREFER_RECOMPUTE

    contexts = functools.partial(create_selective_checkpoint_contexts, policy)
    for given in (*cases, *cases):
        leaves = leaves_of(given)
        loss = checkpoint(loss_of, leaves, given, backend, use_reentrant=False, context_fn=contexts)
        assert_same(torch.autograd.grad(loss, leaves), gradients(given, backend))


def test_memory_comes_back_when_the_last_tensor_that_shares_it_has_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slot: Slot[Tensor] = Slot()
    monkeypatch.setattr(buffer_cache, "_MEMORY", slot)
    tensor = lease(torch.zeros(1, dtype=torch.bfloat16), 1000)
    address = tensor.data_ptr()
    other = tensor[10:20].view(torch.int16).detach().numpy()
    del tensor
    gc.collect()
    assert lease(torch.zeros(1), 10).data_ptr() != address
    slot.get()
    del other
    gc.collect()
    assert lease(torch.zeros(1), 500).data_ptr() == address


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_step_takes_the_memory_of_the_one_before(
    backend: str, monkeypatch: pytest.MonkeyPatch, cases: list[list[Tensor]]
) -> None:
    slot: Slot[Tensor] = Slot()
    monkeypatch.setattr(buffer_cache, "_MEMORY", slot)
    addresses = set()
    for _ in range(3):
        leaves = leaves_of(cases[0])
        loss = loss_of(leaves, cases[0], backend)
        torch.autograd.backward(loss)  # the loss itself lives on, as in a training loop
        memory = slot.get()
        assert memory is not None
        addresses.add(memory.data_ptr())
        slot.put(memory)
    assert len(addresses) == 1


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
    slot: Slot[int] = Slot()
    assert slot.get() is None
    slot.put(1)
    slot.put(2)
    assert [slot.get(), slot.get()] == [1, None]
