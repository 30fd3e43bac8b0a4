"""Each peer that is installed computes the step, with the settings it is measured with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.problem import Problem
from clairkit.bench.kernels.suite import KernelSuite
from clairkit.bench.kernels.truth import compute_reference, judge
from clairkit.bench.kernels.variants import our_variants, variants
from clairkit.bench.kernels.worker import KernelSettings
from clairkit.bench.peers import PEERS, TORCH_OWN, absence, check_names, per_sequence

CPU = torch.device("cpu")
CASES = [
    KernelCase(517, 32, 44, dtype, head, 4)
    for dtype in ("float32", "bfloat16")
    for head in ("frozen", "full")
]


def check(variant: Any, case: KernelCase) -> None:
    truth = compute_reference(case, CPU)
    problem = Problem.build(case, CPU, truth.reference)
    for few in problem.few_tokens():
        variant.load()(few)
        few.drop_gradients()
    found = judge(case, problem, truth, *variant.load()(problem))
    assert found.problem == ""
    assert (problem.weight.grad is None) == (case.head == "frozen")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dtype}-{case.head}")
def test_what_needs_no_peer(case: KernelCase) -> None:
    found = variants(case, CPU, ())
    names = [variant.name for variant in found]
    assert names[0] == "clairkit auto"
    assert names[-1] == "eager"
    assert ("clairkit auto kept" in names) == (case.head == "full")
    for variant in found:
        check(variant, case)


@pytest.mark.slow  # compiles
@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if not peer.gpu_only])
def test_an_installed_peer(name: str) -> None:
    pytest.importorskip(PEERS[name].module, reason="the [peers] extra is not installed")
    for case in CASES:
        for variant in PEERS[name].variants(case, CPU):
            assert variant.group == name
            assert variant.extra_bytes(case) > 0
            check(variant, case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dtype}-{case.head}")
def test_a_peer_that_gives_a_sequence_at_a_time(case: KernelCase) -> None:
    """QuACK and Liger's cross-entropy run on a GPU alone; what stands around them is the same."""

    def negative_sum(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        assert len(hidden) == len(targets) == case.length
        logits = (hidden @ weight.T).float()
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    truth = compute_reference(case, CPU)
    problem = Problem.build(case, CPU, truth.reference)
    found = judge(case, problem, truth, *per_sequence(negative_sum)(problem))
    assert found.problem == ""


def test_torch_without_its_own_head_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    suite = KernelSuite(CASES, KernelSettings("cpu", 1), ["torch"])
    assert suite.absent() == {}
    monkeypatch.delattr(torch.nn, "LinearCrossEntropyOptions")
    assert list(suite.absent()) == [TORCH_OWN]
    assert [one.name for one in PEERS["torch"].variants(CASES[0], CPU)] == ["torch compiled"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dtype}-{case.head}")
def test_the_head_of_torch_itself(case: KernelCase) -> None:
    (own,) = [one for one in PEERS["torch"].variants(case, CPU) if one.name == TORCH_OWN]
    assert own.extra_bytes(case) > 0
    check(own, case)


def test_peers_that_are_not_there_are_named() -> None:
    assert absence("quack", CPU) in ("quack-kernels is not installed", "runs on a GPU alone")
    assert absence("torch", CPU) == ""
    assert check_names(["torch", "trl", "torch"]) == ["torch", "trl"]
    with pytest.raises(ValueError, match="no such peer: received 'unsloth'; there are trl, "):
        check_names(["unsloth"])


def test_a_backend_that_takes_no_tensor_of_this_device_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from clairkit.bench.kernels import variants as kernel_variants

    def takes(hidden: Tensor, *_: Any, backend: str, **__: Any) -> Tensor:
        if backend == "torch":
            raise RuntimeError("runs on a GPU")
        return hidden.sum(1)

    monkeypatch.setattr(kernel_variants, "linear_logps", takes)
    names = [variant.name for variant in our_variants(CASES[0], CPU)]
    assert "clairkit torch" not in names
    assert names[0] == "clairkit auto"
