"""Every backend against float64, forward and gradients, on fresh random inputs.

The rule: a backend's error may exceed that of the naive same-dtype computation by no more than a
small tolerance.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from head_cases import HEADS, cases, exactly, inputs, outcome, relative, sampled
from torch import Tensor

from clairkit.kernels import available_backends, linear_logps, linear_token_stats
from clairkit.kernels.options import HeadOptions
from clairkit.kernels.reference import head_logits

TILED = ("torch", "native", "triton")
# Triton's interpreter takes minutes for what the others do in seconds.
HEAVY = ("torch", "native", pytest.param("triton", marks=pytest.mark.slow))
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 6e-3, torch.float16: 6e-3}


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "full"])
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("backend", [*HEAVY, "eager"])
def test_error_is_no_worse_than_the_naive_computation(
    backend: str, dtype: torch.dtype, frozen: bool
) -> None:
    torch.manual_seed(11)
    for (tokens, vocabulary), head, peak in [*cases(backend), ((1025, 4099), HEADS[0], 1.0)]:
        given = inputs(tokens, vocabulary, dtype, peak)
        exact = exactly(given, frozen=frozen, **head)
        ours = relative(outcome(given, backend, frozen=frozen, **head), exact)
        naive = relative(outcome(given, "", frozen=frozen, naive=True, **head), exact)
        for our_error, naive_error in zip(ours, naive, strict=True):
            assert our_error <= naive_error + TOLERANCE[dtype], (tokens, vocabulary, head, peak)


@pytest.mark.parametrize("backend", HEAVY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_kept_exponentials_change_nothing_but_the_work(backend: str, dtype: torch.dtype) -> None:
    tokens, vocabulary = 123, 4099 if backend == "triton" else 20011  # three tiles
    half = (tokens - len(range(0, tokens, 5))) * vocabulary * dtype.itemsize // 2
    # at the second peak, rows are anchored at their maximum, whose targets are of every tile
    for head, peak in ((HEADS[0], 1.0), (HEADS[-1], 1.0), (HEADS[0], 40.0)):
        given = inputs(tokens, vocabulary, dtype, peak)
        recomputed = outcome(given, backend, frozen=False, memory_budget=0, **head)
        for budget in (1 << 30,) if backend == "triton" else (half, 1 << 30, "auto", None):
            kept = outcome(given, backend, frozen=False, memory_budget=budget, **head)
            for a, b in zip(recomputed, kept, strict=True):
                # what is made again of rounded products goes by the columns seen so far
                assert relative([a], [b.double()])[0] <= (1e-6 if dtype.itemsize == 4 else 6e-3)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "full"])
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("backend", [*HEAVY, "eager"])
def test_token_statistics_come_from_the_same_pass(
    backend: str, dtype: torch.dtype, frozen: bool
) -> None:
    torch.manual_seed(13)
    for (tokens, vocabulary), head, peak in cases(backend):
        hidden, weight, bias, targets, coefficients = inputs(tokens, vocabulary, dtype, peak)
        options = {**head, "bias": bias if head.get("bias") else None}
        used = bias.double() if head.get("bias") else None
        element = HeadOptions(head.get("softcap"), head.get("logit_scale", 1.0))
        top = head_logits(hidden.double(), weight.double(), used, element).topk(2)
        targets[::2] = top.indices[::2, 0]
        targets[-1] = -100 if tokens > 1 else targets[-1]
        wide = {**options, "bias": bias.double() if head.get("bias") else None}
        exact = linear_token_stats(
            hidden.double(), weight.double(), targets, backend="eager", **wide
        )
        leaf = hidden.detach().requires_grad_()
        ours = linear_token_stats(
            leaf, weight.detach().requires_grad_(not frozen), targets, backend=backend, **options
        )
        plain = linear_logps(hidden, weight, targets, backend=backend, **options)
        # a head that is trained has other tiles, which round and mend other products
        assert relative([ours.logps.detach()], [plain.double()])[0] <= 2 * TOLERANCE[dtype]
        (ours.logps * coefficients).sum().backward()
        assert leaf.grad is not None
        assert not ours.entropy.requires_grad
        assert not ours.mean_logits.requires_grad
        close = {"rtol": 2e-5, "atol": 2e-5}
        if dtype in (torch.bfloat16, torch.float16):
            close = {"rtol": 2e-2, "atol": 1e-2 * peak}  # a rounded product is off by its share
        torch.testing.assert_close(ours.entropy.double(), exact.entropy.double(), **close)
        torch.testing.assert_close(ours.mean_logits.double(), exact.mean_logits.double(), **close)
        clear = (top.values[:, 0] - top.values[:, 1]).abs() > (0.5 if dtype.itemsize == 2 else 1e-3)
        assert torch.equal(ours.hits[clear], exact.hits[clear])
        assert bool((ours.entropy[targets == -100] == 0).all())
        assert not bool(ours.hits[targets == -100].any())


@pytest.mark.parametrize("backend", TILED)
def test_very_peaked_logits_keep_the_digits_of_the_weights_gradient(backend: str) -> None:
    torch.manual_seed(17)
    given = inputs(63, 1021, torch.float32, peak=120.0)
    exact = exactly(given, frozen=False)
    errors = relative(outcome(given, backend, frozen=False), exact)
    assert max(errors) < 2e-6


@pytest.mark.parametrize("backend", HEAVY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_summed_logp_of_512_tokens_is_within_a_fiftieth_of_a_nat(
    backend: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(512)
    for spread in (0.15, 0.25):  # of the weights: logits of 2.4 and of 4 nats' standard deviation
        vocabulary = 4096 if backend == "triton" else 9000  # several tiles
        hidden, weight = torch.randn(512, 256), torch.randn(vocabulary, 256) * spread
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        targets = sampled(hidden, weight)
        exact = linear_logps(hidden.double(), weight.double(), targets, backend="eager")
        with torch.no_grad():
            ours = linear_logps(hidden, weight, targets, backend=backend)
        assert ours.dtype == torch.float32
        assert abs(float(ours.double().sum() - exact.sum())) <= 0.02


@pytest.mark.slow
def test_summed_logp_of_8192_bfloat16_tokens_is_within_a_tenth_of_a_nat() -> None:
    torch.manual_seed(8192)
    hidden = torch.randn(8192, 128).bfloat16()
    weight = (torch.randn(4096, 128) * 0.3).bfloat16()
    targets = sampled(hidden, weight)
    exact = sum(
        linear_logps(hidden[rows].double(), weight.double(), targets[rows], backend="eager").sum()
        for rows in torch.arange(8192).split(1024)
    )
    for backend in ("torch", "native"):
        with torch.no_grad():
            ours = linear_logps(hidden, weight, targets, backend=backend)
        assert abs(float(ours.double().sum() - exact)) <= 0.1, backend


@pytest.mark.parametrize("backend", TILED)
def test_logps_of_peaked_bfloat16_logits_are_never_positive(backend: str) -> None:
    torch.manual_seed(1)
    hidden = 3 * torch.randn(300, 64).to(torch.bfloat16)
    weight = 3 * torch.randn(500, 64).to(torch.bfloat16)
    targets = (hidden.float() @ weight.float().T).argmax(1)
    logps = linear_logps(hidden, weight, targets, backend=backend)
    assert float(logps.max()) <= 0
    assert float(logps.min()) > -50


@pytest.mark.parametrize("backend", TILED)
def test_a_target_far_below_the_maximum_takes_the_other_anchor(backend: str) -> None:
    torch.manual_seed(2)
    given = inputs(40, 300, torch.float32, peak=120.0)  # log-probs down to some hundred nats
    exact = exactly(given, frozen=True)
    assert float(exact[0].min()) < -100
    ours = outcome(given, backend, frozen=True)
    torch.testing.assert_close(ours[0].double(), exact[0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours[1].double(), exact[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", TILED)
def test_a_target_that_is_ruled_out_has_no_log_prob_but_minus_infinity(backend: str) -> None:
    hidden, weight, bias, targets, _ = inputs(7, 90, torch.float32)
    bias[targets[1]] = -torch.inf
    found, exact = (
        linear_logps(hidden, weight, targets, bias=bias, backend=name)
        for name in (backend, "eager")
    )
    assert found[1] == -torch.inf
    torch.testing.assert_close(found, exact)


@pytest.mark.parametrize("backend", [*HEAVY, "eager"])
def test_the_same_input_gives_the_same_bits(backend: str) -> None:
    given = inputs(*((130, 603) if backend == "triton" else (1025, 5003)), torch.float32)
    once, again = (outcome(given, backend, frozen=False) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("backend", [*TILED, "eager"])
def test_ignored_tokens_cost_nothing_and_get_no_gradient(backend: str) -> None:
    hidden = torch.randn(6, 8)
    hidden[1:3] = float("nan")  # read at an ignored place, it would spread
    hidden.requires_grad_()
    targets = torch.tensor([1, -100, -100, 4, 0, 2])
    logps = linear_logps(hidden, torch.randn(5, 8), targets, backend=backend)
    logps.sum().backward()
    assert hidden.grad is not None
    assert torch.equal(logps[1:3], torch.zeros(2))
    assert torch.equal(hidden.grad[1:3], torch.zeros(2, 8))
    assert bool(hidden.grad[[0, 3, 4, 5]].isfinite().all())


@pytest.mark.parametrize("backend", [*TILED, "eager"])
def test_no_valid_token_gives_zeros_and_zero_gradients(backend: str) -> None:
    hidden, weight = torch.randn(3, 8, requires_grad=True), torch.randn(5, 8, requires_grad=True)
    logps = linear_logps(hidden, weight, torch.full((3,), -100), backend=backend)
    logps.sum().backward()
    assert torch.equal(logps, torch.zeros(3))
    assert hidden.grad is not None
    assert weight.grad is not None
    assert float(hidden.grad.abs().sum() + weight.grad.abs().sum()) == 0


@pytest.mark.parametrize("backend", TILED)
def test_tied_weights_gather_both_gradients(backend: str) -> None:
    torch.manual_seed(3)
    ids, targets = torch.randint(50, (20,)), torch.randint(50, (20,))
    gradients = []
    for name in (backend, "eager"):
        torch.manual_seed(4)
        weight = torch.randn(50, 16, requires_grad=True)
        linear_logps(weight[ids].tanh(), weight, targets, backend=name).sum().backward()
        assert weight.grad is not None
        gradients.append(weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", TILED)
def test_mixed_dtypes_are_computed_in_the_wider_one(backend: str) -> None:
    torch.manual_seed(5)
    hidden, weight = torch.randn(30, 32).bfloat16(), torch.randn(100, 32)
    targets = torch.randint(100, (30,))
    exact = linear_logps(hidden.double(), weight.double(), targets, backend="eager")
    ours = linear_logps(hidden, weight, targets, backend=backend)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("backend", TILED)
def test_autocast_chooses_the_dtype_of_the_products_alone(backend: str, frozen: bool) -> None:
    torch.manual_seed(5)
    given = inputs(123, 900, torch.float32)
    exact = exactly(given, frozen=frozen)
    halves = [t.bfloat16() if t.dtype == torch.float32 else t for t in given[:3]]
    rounded = outcome([*halves, *given[3:]], backend, frozen=frozen)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = outcome(given, backend, frozen=frozen)
    assert [t.dtype for t in ours] == [torch.float32] * len(ours)
    for our_error, half_error in zip(relative(ours, exact), relative(rounded, exact), strict=True):
        assert our_error <= half_error + 1e-3


@pytest.mark.parametrize("backend", TILED)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_backward_called_under_autocast_is_not_rounded(backend: str, frozen: bool) -> None:
    given = inputs(64, 500, torch.float32)
    gradients = outcome(given, backend, frozen=frozen)[1:]
    hidden, weight, _, targets, coefficients = given
    leaves = [hidden.requires_grad_(), weight.requires_grad_(not frozen)]
    logps = linear_logps(*leaves, targets, backend=backend)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.autograd.grad((logps * coefficients).sum(), leaves[: len(gradients)])
    for ours, right in zip(found, gradients, strict=True):
        assert torch.equal(ours, right)


@pytest.mark.parametrize("backend", TILED)
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)])
def test_each_gradient_can_be_wanted_alone(backend: str, wanted: tuple[int, ...]) -> None:
    torch.manual_seed(9)
    given = inputs(30, 300, torch.float32)
    results = []
    for name in (backend, "eager"):
        tensors = [t.detach().requires_grad_(i in wanted) for i, t in enumerate(given[:3])]
        logps = linear_logps(*tensors[:2], given[3], bias=tensors[2], backend=name)
        results.append(torch.autograd.grad((logps * given[4]).sum(), [tensors[i] for i in wanted]))
    for ours, right in zip(*results, strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", [*TILED, "eager"])
def test_a_head_with_a_nan_gives_nan(backend: str) -> None:
    weight = torch.randn(50, 8)
    weight[7, 3] = float("nan")
    logps = linear_logps(torch.randn(4, 8), weight, torch.arange(4), backend=backend)
    assert bool(logps.isnan().all())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "native"])  # Triton's interpreter can't be traced
def test_a_compiler_does_not_change_the_numbers(backend: str) -> None:
    hidden, weight = torch.randn(64, 32), torch.randn(300, 32)
    targets = torch.randint(300, (64,))

    def call(h: Tensor) -> Tensor:
        return 2 * linear_logps(h * 1.0, weight, targets, backend=backend)

    torch.testing.assert_close(torch.compile(call)(hidden), call(hidden), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("backend", TILED)
def test_the_frozen_pass_works_under_gradient_checkpointing(backend: str) -> None:
    torch.manual_seed(6)
    hidden, weight = torch.randn(30, 16, requires_grad=True), torch.randn(90, 16)
    targets = torch.randint(90, (30,))

    def call(h: Tensor) -> Tensor:
        return linear_logps(h, weight, targets, backend=backend)

    plain = torch.autograd.grad(call(hidden).sum(), hidden)[0]
    saved = torch.utils.checkpoint.checkpoint(call, hidden, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(saved.sum(), hidden)[0], plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": torch.randn(4, 7)}, "hidden must be"),
        ({"targets": torch.zeros(4, dtype=torch.int32)}, "targets must be int64"),
        ({"targets": torch.tensor([0, 1, 2, 5])}, "received 5"),
        ({"targets": torch.tensor([0, 1, 2, -1])}, "received -1"),
        ({"bias": torch.randn(4)}, "bias must be"),
        ({"softcap": 0.0}, "softcap"),
        ({"logit_scale": 0.0}, "logit_scale"),
        ({"memory_budget": -1}, "memory_budget"),
        ({"backend": "cutlass"}, "unknown backend"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    call: dict[str, Any] = {
        "hidden": torch.randn(4, 8),
        "weight": torch.randn(5, 8),
        "targets": torch.tensor([0, 1, 2, 3]),
        **change,
    }
    with pytest.raises(ValueError, match=message):
        linear_logps(**call)


def test_every_backend_of_this_build_is_available() -> None:
    states = available_backends()
    assert list(states) == ["triton", "native", "torch", "eager"]
    assert all(state.available and state.reason for state in states.values())
