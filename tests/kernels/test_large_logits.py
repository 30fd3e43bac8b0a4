"""Logits so large, or so close to another, that a rounded product must not decide: up to 1e6."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from head_cases import exactly, outcome, relative
from torch import Tensor

from clairkit.kernels import _native, linear_logps, linear_token_stats
from clairkit.kernels.native import NativeTiles

BACKENDS = ("torch", "native", "triton")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 6e-3}
HEADS: tuple[dict[str, Any], ...] = (
    {},
    {"logit_scale": -1.0, "softcap": 1e5},
    {"logit_scale": 3.0, "bias": True},
)


def given_of(dtype: torch.dtype, size: float, tokens: int = 31) -> list[Tensor]:
    """Return inputs whose largest logits are about `size`."""
    hidden, weight = torch.randn(tokens, 64), torch.randn(65, 64) * size / 24
    targets = torch.randint(65, (tokens,))
    targets[::5] = -100
    floats = [hidden.to(dtype), weight.to(dtype), torch.randn(65).to(dtype)]
    return [*floats, targets, torch.randn(tokens)]


def assert_right(given: list[Tensor], backend: str, **head: Any) -> None:
    """Compare with float64; the error may be that of the naive computation, and a little."""
    for frozen, budget in ((True, None), (False, 0), (False, None)):
        exact = exactly(given, frozen=frozen, **head)
        ours = outcome(given, backend, frozen=frozen, memory_budget=budget, **head)
        naive = relative(outcome(given, "", frozen=frozen, naive=True, **head), exact)
        assert float(ours[0].max()) <= 0
        for values, error, allowed in zip(ours, relative(ours, exact), naive, strict=True):
            assert bool(values.isfinite().all())
            assert error <= allowed + TOLERANCE[given[0].dtype]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("size", [3e2, 1e4, 1e5, 1e6])
def test_logits_of_any_size_give_what_float64_does(
    backend: str, dtype: torch.dtype, size: float
) -> None:
    torch.manual_seed(int(size))
    for head in HEADS[:1] if backend == "triton" else HEADS:
        assert_right(given_of(dtype, size), backend, **head)


@pytest.mark.parametrize("variant", range(len(_native.variant_names())))
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_every_instruction_set_gives_it(
    monkeypatch: pytest.MonkeyPatch, variant: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(NativeTiles.__init__, "__defaults__", (variant,))
    torch.manual_seed(variant)
    assert_right(given_of(dtype, 3e4), "native")
    assert_right(given_of(dtype, 1.0), "native", logit_scale=1e30)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("scale", [1e30, -1e30, 1e-30])
def test_a_scale_of_any_size_gives_what_float64_does(
    backend: str, dtype: torch.dtype, scale: float
) -> None:
    torch.manual_seed(5)
    assert_right(given_of(dtype, 10.0), backend, logit_scale=scale)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("scale", [1.0, 1e30])
def test_columns_that_are_equal_share_the_mass(
    backend: str, dtype: torch.dtype, scale: float
) -> None:
    torch.manual_seed(6)
    weight = (torch.randn(1, 64) * 1e5).expand(50, 64).contiguous().to(dtype)
    hidden, targets = torch.randn(9, 64).to(dtype), torch.arange(9)
    logps = linear_logps(hidden, weight, targets, backend=backend, logit_scale=scale)
    torch.testing.assert_close(logps, torch.full((9,), -math.log(50)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [1.0, 1e5])
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_a_ruled_out_vocabulary_spoils_no_row(
    backend: str, size: float, dtype: torch.dtype
) -> None:
    """Targets among them, too: products of a row with NaN have spoilt the row before it."""
    torch.manual_seed(7)
    hidden, weight, bias, targets, coefficients = given_of(dtype, size)
    bias[::3] = -torch.inf
    results = []
    for name in (backend, "eager"):
        wide = torch.float64 if name == "eager" else dtype
        leaf = hidden.to(wide).requires_grad_()
        logps = linear_logps(leaf, weight.to(wide), targets, bias=bias.to(wide), backend=name)
        found = torch.autograd.grad(logps, leaf, coefficients.to(logps.dtype))[0]
        results.append([logps.detach().double(), found.double()])
    (logps, gradient), (exact, right) = results
    assert torch.equal(logps.isinf(), exact.isinf())
    torch.testing.assert_close(logps, exact, rtol=1e-2, atol=0.1)
    assert relative([gradient], [right])[0] <= 2 * TOLERANCE[dtype]


@pytest.mark.parametrize("backend", ["torch", "native"])
@pytest.mark.parametrize("trained", [False, True])
def test_products_that_a_bias_cancels_are_not_rounded(backend: str, trained: bool) -> None:
    torch.manual_seed(8)
    hidden = (100 + torch.randn(8, 64)).bfloat16()
    weight = (100 + torch.randn(200, 64)).bfloat16()
    bias = -(hidden.double().mean(0) @ weight.double().T).float()
    targets = torch.randint(200, (8,))
    leaf, head = hidden.clone().requires_grad_(), weight.clone().requires_grad_(trained)
    logps = linear_logps(leaf, head, targets, bias=bias, backend=backend)
    gradient = torch.autograd.grad(logps.sum(), leaf)[0]
    wide = hidden.double().requires_grad_()
    exact = linear_logps(wide, weight.double(), targets, bias=bias.double(), backend="eager")
    right = torch.autograd.grad(exact.sum(), wide)[0]
    torch.testing.assert_close(logps.detach().double(), exact.detach(), rtol=1e-3, atol=0.3)
    assert relative([gradient], [right])[0] < 0.05


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_statistics_of_large_logits_are_those_of_float64(backend: str, dtype: torch.dtype) -> None:
    torch.manual_seed(9)
    for size in (2e3, 1e6):
        hidden, weight, _, targets, _ = given_of(dtype, size)
        best = (hidden.double() @ weight.double().T).argmax(1)
        targets[1::2] = best[1::2]
        ours = linear_token_stats(hidden, weight, targets, backend=backend)
        exact = linear_token_stats(hidden.double(), weight.double(), targets, backend="eager")
        assert torch.equal(ours.hits, exact.hits)
        torch.testing.assert_close(ours.entropy.double(), exact.entropy, rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(
            ours.mean_logits.double(), exact.mean_logits, rtol=1e-2, atol=1e-3 * size
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_products_beyond_float32_are_made_in_float64(backend: str) -> None:
    torch.manual_seed(10)
    hidden, weight = 1e20 * torch.randn(9, 16), 1e18 * torch.randn(40, 16)
    targets = (hidden.double() @ weight.double().T).argmax(1)
    logps = linear_logps(hidden, weight, targets, backend=backend)
    assert torch.equal(logps, torch.zeros(9))
