"""The float64 truth of a point against autograd over everything, and what it must refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.bench.kernels import truth as kernel_reference
from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.problem import Problem, plain_logps
from clairkit.bench.kernels.truth import Accuracy, Reference, compute_reference, judge
from clairkit.losses import preference_loss

CPU = torch.device("cpu")
CASE = KernelCase(531, 40, 36, "float32", "full", sequences=4)
PROMPTED = replace(CASE, prompt=5)


def exact(case: KernelCase, truth: Reference) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(loss, sums, dH, dW) in float64, by autograd and the loss of the library."""
    problem = Problem.build(case, CPU, truth.reference)
    hidden = problem.hidden.detach().double().requires_grad_()
    weight = problem.weight.detach().double().requires_grad_()
    logps = torch.log_softmax(hidden @ weight.T, 1)
    valid = problem.targets != -100
    chosen = logps[range(case.positions), problem.targets.clamp(min=0)]
    sums = (chosen * valid).view(case.sequences, -1).sum(1)
    assert int(valid.sum()) == case.tokens
    loss = preference_loss(
        *sums.chunk(2), *truth.reference.double().chunk(2), loss="apo_zero", beta=case.beta
    ).loss
    d_hidden, d_weight = torch.autograd.grad(loss, (hidden, weight))
    return loss.detach(), sums.detach(), d_hidden, d_weight


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("chunk", [1, 1 << 24])
@pytest.mark.parametrize("given", [CASE, PROMPTED], ids=["compacted", "prompted"])
def test_the_truth_is_that_of_autograd(
    given: KernelCase, dtype: Any, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_reference, "_CHUNK", 36 * 100 if chunk == 1 else chunk)
    monkeypatch.setattr(kernel_reference, "SAMPLE", 11)
    case = replace(given, dtype=dtype)
    truth = compute_reference(case, CPU)
    loss, sums, d_hidden, d_weight = exact(case, truth)
    close = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(truth.sums, sums, **close)
    assert truth.loss == pytest.approx(float(loss), rel=1e-12)
    assert len(truth.rows) == 11
    torch.testing.assert_close(truth.hidden, d_hidden[truth.rows], **close)
    torch.testing.assert_close(truth.weight, d_weight[truth.columns], **close)
    # Half of the weight's rows are targets: they carry the large gradients.
    targets = Problem.build(case, CPU, truth.reference).targets
    assert sum(int(column in targets) for column in truth.columns) >= 11 // 2


def test_inputs_are_neither_flat_nor_sure() -> None:
    truth = compute_reference(replace(CASE, vocabulary=4096, tokens=400), CPU)
    problem = Problem.build(replace(CASE, vocabulary=4096, tokens=400), CPU, truth.reference)
    with torch.no_grad():
        logps = plain_logps(problem.hidden, problem.weight, problem.targets)
    assert float(logps.min()) < -8
    assert float(logps.max()) > -0.5
    ratios = truth.sums - truth.reference
    assert float(ratios.abs().min()) > 1e-3
    assert float(ratios.abs().max()) <= 8.001


def test_the_truth_is_the_same_for_a_frozen_head_and_survives_its_file(tmp_path: Path) -> None:
    full, frozen = (compute_reference(replace(CASE, head=head), CPU) for head in ("full", "frozen"))
    full.save(tmp_path / "truth.pt")
    again = Reference.load(tmp_path / "truth.pt")
    for name, value in full.__dict__.items():
        for other in (frozen, again):
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(getattr(other, name)))


def judged(mistake: str, case: KernelCase = CASE) -> Accuracy:
    """Errors of a step in the case's dtype with one mistake."""
    truth = compute_reference(case, CPU)
    problem = Problem.build(case, CPU, truth.reference)
    if mistake == "beta":
        problem = replace(problem, beta=case.beta * 1.2)
    targets = problem.targets.roll(1) if mistake == "targets" else problem.targets
    tokens = plain_logps(problem.hidden, problem.weight, targets)
    if mistake == "a token missing":
        tokens = tokens * (torch.arange(case.tokens) != int(tokens.argmin()))
    sums = tokens.view(case.sequences, -1).sum(1)
    loss = problem.loss(sums.roll(1) if mistake == "sides" else sums)
    loss.backward()
    if mistake == "NaN":
        assert problem.hidden.grad is not None
        problem.hidden.grad[truth.rows[0]] = float("nan")
    if mistake == "no gradient":
        problem.weight.grad = None
    return judge(case, problem, truth, loss.detach(), sums.detach())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_plain_computation_passes(dtype: Any) -> None:
    found = judged("", replace(CASE, dtype=dtype))
    assert found.problem == ""
    assert len(found.nats) == 4
    assert found.weight is not None
    assert max(found.hidden, found.weight) < (1e-5 if dtype == "float32" else 2e-2)
    assert judged("", replace(CASE, dtype=dtype, head="frozen")).weight is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "mistake", ["beta", "targets", "a token missing", "sides", "NaN", "no gradient"]
)
def test_mistakes_are_refused(mistake: str, dtype: Any) -> None:
    found = judged(mistake, replace(CASE, dtype=dtype))
    assert not found.passed
    assert "tolerance" in found.problem
