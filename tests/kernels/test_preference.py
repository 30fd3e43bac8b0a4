"""The fused preference reduction against `clairkit.losses` and autograd in float64."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.kernels.preference import FusedPreference, fused_preference
from clairkit.kernels.triton.preference import (
    LOSS_KERNELS,
    MAX_PAIRS,
    preference_kernel,
    spread_kernel,
)
from clairkit.losses import LOSSES, preference_loss

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SORTED = ("aot", "aot_unpaired")
NEEDS_LENGTHS = ("ipo", "sigmoid_norm", "sft")


@dataclass
class Batch:
    """2B sequences of random lengths, one of them a single token, with padding in between."""

    token_logps: Tensor  # [N]
    offsets: Tensor  # [2B + 1]
    reference: Tensor  # [2B]
    lengths: Tensor  # [2B] tokens that are no padding

    def segments(self, values: Tensor) -> Tensor:
        """The sums [2B] of values [N], one sequence after the other."""
        ends = self.offsets.tolist()
        sums = [values[first:last].sum() for first, last in pairwise(ends)]
        return torch.stack(sums)


def random_batch(pairs: int, seed: int, longest: int = 40) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    widths = torch.randint(1, longest + 1, (2 * pairs,), generator=generator)
    widths[seed % (2 * pairs)] = 1
    lengths = (widths * torch.rand(2 * pairs, generator=generator)).long().clamp(min=1)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), widths.cumsum(0)])
    logps = -2 * torch.rand(int(offsets[-1]), generator=generator)
    for first, width, length in zip(
        offsets.tolist(), widths.tolist(), lengths.tolist(), strict=False
    ):
        logps[first + length : first + width] = 0
    reference = 3 * torch.randn(2 * pairs, generator=generator) - lengths
    return Batch(*(tensor.to(DEVICE) for tensor in (logps, offsets, reference, lengths)))


def options_of(name: str) -> dict[str, Any]:
    return {"label_smoothing": 0.1} if "label_smoothing" in LOSSES[name].options else {}


def fused(batch: Batch, name: str, beta: float, **options: Any) -> tuple[FusedPreference, Tensor]:
    """The fused result, and the gradient of its loss with respect to every token."""
    tokens = batch.token_logps.clone().requires_grad_()
    result = fused_preference(
        tokens,
        batch.offsets,
        batch.reference,
        loss=name,
        beta=beta,
        lengths=batch.lengths,
        **options,
    )
    (gradient,) = torch.autograd.grad(result.loss, tokens)
    return result, gradient


def expected(
    batch: Batch, name: str, beta: float, **options: Any
) -> tuple[FusedPreference, Tensor]:
    """The same by `clairkit.losses` and autograd, in float64."""
    tokens = batch.token_logps.double().requires_grad_()
    sums = batch.segments(tokens)
    sides = (*sums.chunk(2), *batch.reference.double().chunk(2))
    counts = dict(zip(("chosen_lengths", "rejected_lengths"), batch.lengths.chunk(2), strict=True))
    result = preference_loss(
        *sides,
        loss=name,
        beta=beta,
        **(counts if name in NEEDS_LENGTHS else {}),
        **options,
    )
    gradient, coefficients = torch.autograd.grad(result.loss, (tokens, sums))
    rewards = (result.chosen_rewards, result.rejected_rewards)
    others = (result.losses, *rewards, sums, coefficients)
    return FusedPreference(result.loss, *(each.detach() for each in others)), gradient


def assert_same(
    got: tuple[FusedPreference, Tensor],
    want: tuple[FusedPreference, Tensor],
    rtol: float = 1e-5,
    atol: float = 2e-5,
) -> None:
    pairs = zip((*got[0], got[1]), (*want[0], want[1]), strict=True)
    names = (*FusedPreference._fields, "token gradient")
    for name, (ours, theirs) in zip(names, pairs, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(
            ours.detach().double(),
            theirs.detach(),
            **{"rtol": rtol, "atol": atol, "equal_nan": True},
            msg=lambda text, name=name: f"{name}: {text}",
        )


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Memory that torch hands out uninitialised holds NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert bool(torch.empty(3).isnan().all())
    yield
    torch.use_deterministic_algorithms(before)


def test_the_losses_and_their_options_are_those_of_the_package() -> None:
    kernels = {name: entry.options for name, entry in LOSS_KERNELS.items()}
    # f-divergences take the torch path, see `clairkit.losses.fusable`
    known = {
        name: tuple(option for option in loss.options if not option.startswith("f_"))
        for name, loss in LOSSES.items()
    }
    assert kernels == known


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("pairs", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("name", list(LOSSES))
def test_everything_equals_the_losses_in_float64(name: str, pairs: int) -> None:
    batch = random_batch(pairs, seed=pairs)
    assert_same(
        fused(batch, name, 0.3, **options_of(name)), expected(batch, name, 0.3, **options_of(name))
    )


@pytest.mark.parametrize(
    ("name", "beta", "options"),
    [
        ("robust", 0.1, {}),
        ("robust", 0.1, {"label_smoothing": 0.45}),
        ("exo_pair", 0.1, {"label_smoothing": 1e-3}),
        ("exo_pair", 1.0, {"label_smoothing": 0.49}),
        ("aot", 0.1, {}),
        ("aot", 2.0, {"label_smoothing": 0.3}),
        ("aot_unpaired", 0.1, {}),
        ("aot_unpaired", 2.0, {"label_smoothing": 0.3}),
        ("discopop", 0.05, {}),
        ("discopop", 0.3, {"discopop_tau": 0.8}),
        ("apo_zero", 3.0, {}),
        ("ipo", 0.02, {}),
        ("sppo_hard", 1.0, {}),
    ],
)
def test_options(name: str, beta: float, options: dict[str, float]) -> None:
    batch = random_batch(5, seed=11)
    assert_same(fused(batch, name, beta, **options), expected(batch, name, beta, **options))


@pytest.mark.parametrize("name", NEEDS_LENGTHS)
def test_lengths_are_those_between_the_offsets_when_none_are_given(name: str) -> None:
    batch = random_batch(3, seed=4)
    batch.lengths = batch.offsets.diff()
    counted = fused_preference(
        batch.token_logps, batch.offsets.int(), batch.reference, loss=name, beta=0.3
    )
    torch.testing.assert_close(counted.losses, fused(batch, name, 0.3)[0].losses, rtol=0, atol=0)


def one_token_pairs(ratios: list[tuple[float, float]]) -> Batch:
    """Pairs of one token a side with the given log-ratios."""
    logps = torch.tensor(ratios).T.reshape(-1)
    count = len(logps)
    tensors = (logps, torch.arange(count + 1), torch.zeros(count), torch.ones(count).long())
    return Batch(*(tensor.to(DEVICE) for tensor in tensors))


EXTREME = [(1e4, -1e4), (-1e4, 1e4), (1e4, 1e4), (0.0, 0.0), (-1e4, -1e4), (300.0, 0.0)]


@pytest.mark.parametrize("name", list(LOSSES))
def test_extreme_log_ratios(name: str) -> None:
    """Nothing is NaN; what overflows float32 is infinite in the definition too."""
    batch = one_token_pairs(EXTREME)
    got, want = (call(batch, name, 1.0, **options_of(name)) for call in (fused, expected))
    assert not any(bool(tensor.isnan().any()) for tensor in (*got[0], got[1]))
    assert_same(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sigmoid", "sigmoid_norm", "bco_pair", "apo_zero"])
def test_small_losses_and_slopes_keep_their_digits(name: str) -> None:
    batch = one_token_pairs([(18.0, -18.0), (-17.0, 17.0), (3.0, -2.0), (8.0, -8.0)])
    (got, _), (want, _) = fused(batch, name, 0.5), expected(batch, name, 0.5)
    for ours, theirs in ((got.losses, want.losses), (got.coefficients, want.coefficients)):
        torch.testing.assert_close(ours.double(), theirs, rtol=3e-6, atol=0)


@pytest.mark.parametrize("name", list(LOSSES))
def test_nan_stays_with_its_pair(name: str) -> None:
    batch = random_batch(5, seed=3)
    batch.token_logps[batch.offsets[1]] = -math.nan  # the sign that x86 gives to 0 / 0
    got, want = (call(batch, name, 0.3, **options_of(name)) for call in (fused, expected))
    assert got[0].losses.isnan().tolist() == [
        place == (4 if name in SORTED else 1) for place in range(5)
    ]
    assert_same(got, want)


@pytest.mark.parametrize("name", SORTED)
def test_ties_are_broken_by_place(name: str) -> None:
    batch = one_token_pairs([(-1.0, -2.0), (-1.0, -2.0), (-3.0, -1.0), (-1.0, -2.0)])
    batch.reference[:4] = torch.tensor([0.5, -0.5, 0.25, 1.5])
    if name == "aot_unpaired":
        batch.reference[:4] = 0
    got, _ = fused(batch, name, 0.3)
    # pair 2 has the smallest value of its side; the three others are equal
    torch.testing.assert_close(got.coefficients[[2, 0, 1, 3]], sorted_slopes(batch, name))


def sorted_slopes(batch: Batch, name: str) -> Tensor:
    """The chosen sides' slopes [B] in sorted order, beta = 0.3."""
    chosen, rejected = batch.token_logps.chunk(2)
    ref_chosen, ref_rejected = batch.reference.chunk(2)
    left, right = chosen - rejected, ref_chosen - ref_rejected
    if name == "aot_unpaired":
        left, right = chosen - ref_chosen, rejected - ref_rejected
    delta = left.sort().values - right.sort().values
    return -0.3 * torch.sigmoid(-0.3 * delta) / len(delta)


def test_long_responses_are_summed_exactly() -> None:
    """24,576 tokens of about -1 nat each: float32's own spacing there is 0.002."""
    generator = torch.Generator().manual_seed(5)
    logps = (-2 * torch.rand(2 * 24_576, generator=generator)).to(DEVICE)
    offsets = torch.tensor([0, 24_576, 49_152], device=DEVICE)
    reference = torch.zeros(2, device=DEVICE)
    got = fused_preference(logps, offsets, reference, loss="sigmoid", beta=0.1).sums
    want = logps.double().reshape(2, -1).sum(1)
    assert float((got.double() - want).abs().max()) <= 1e-3
    assert torch.equal(got, want.float())


@pytest.mark.parametrize(("name", "pairs"), [("sigmoid", MAX_PAIRS), ("aot", 100)])
def test_large_batches(name: str, pairs: int) -> None:
    batch = random_batch(pairs, seed=6, longest=9)
    assert_same(fused(batch, name, 0.3), expected(batch, name, 0.3))


@pytest.mark.parametrize("name", ["apo_zero", "aot_unpaired"])
def test_the_same_input_gives_the_same_bits(name: str) -> None:
    batch = random_batch(7, seed=8, longest=700)
    first, second = fused(batch, name, 0.1), fused(batch, name, 0.1)
    for ours, again in zip((*first[0], first[1]), (*second[0], second[1]), strict=True):
        assert torch.equal(ours, again)


def test_rewards_are_zero_where_the_policy_is_its_reference() -> None:
    batch = random_batch(3, seed=9)
    batch.reference = fused(batch, "sigmoid", 0.1)[0].sums
    result, _ = fused(batch, "sigmoid", 0.1)
    assert not result.chosen_rewards.any()
    assert not result.rejected_rewards.any()
    log_two = torch.full_like(result.losses, math.log(2))
    torch.testing.assert_close(result.losses, log_two, rtol=1e-7, atol=0)


def test_one_launch_forward_and_one_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    launches = []
    for kernel in (preference_kernel, spread_kernel):

        def counted(
            *args: Any, run: Any = kernel.run, name: str = kernel.__name__, **kw: Any
        ) -> Any:
            launches.append(name)
            return run(*args, **kw)

        monkeypatch.setattr(kernel, "run", counted)
    fused(random_batch(3, seed=1), "aot", 0.1)
    assert launches == ["preference_kernel", "spread_kernel"]


def test_only_the_loss_carries_gradient_and_it_scales() -> None:
    batch = random_batch(3, seed=2)
    _, gradient = fused(batch, "apo_down", 0.2)
    tokens = batch.token_logps.clone().requires_grad_()
    result = fused_preference(tokens, batch.offsets, batch.reference, loss="apo_down", beta=0.2)
    assert [tensor.requires_grad for tensor in result] == [True, *[False] * 5]
    (result.loss * -3).backward()
    torch.testing.assert_close(tokens.grad, -3 * gradient)
    with torch.no_grad():
        quiet = fused_preference(tokens, batch.offsets, batch.reference, loss="apo_down", beta=0.2)
    assert torch.equal(quiet.loss, result.loss)
    assert not quiet.loss.requires_grad


@pytest.mark.usefixtures("poisoned")
def test_tokens_of_no_sequence_count_for_nothing() -> None:
    batch = random_batch(2, seed=12)
    alone, gradient = fused(batch, "sigmoid", 0.1)
    around = torch.full((3,), 7.0, device=DEVICE)
    batch.token_logps = torch.cat([around, batch.token_logps, around])
    batch.offsets = batch.offsets + 3
    result, padded = fused(batch, "sigmoid", 0.1)
    assert torch.equal(result.sums, alone.sums)
    assert torch.equal(padded, torch.nn.functional.pad(gradient, (3, 3)))


# sft's mean counts absent sides as nothing; `fusable` keeps them from the kernel.
@pytest.mark.parametrize("name", [name for name in NEEDS_LENGTHS if name != "sft"])
def test_an_empty_response_counts_as_one_token(name: str) -> None:
    batch = random_batch(2, seed=14)
    batch.offsets[1] = 0  # its tokens go to the second sequence
    batch.lengths[0] = 0
    assert_same(fused(batch, name, 0.3), expected(batch, name, 0.3))


def test_strided_tensors_are_read_as_they_look() -> None:
    batch = random_batch(2, seed=13)
    want, gradient = fused(batch, "ipo", 0.1)
    tensors = (batch.token_logps, batch.offsets, batch.reference, batch.lengths)
    strided = [torch.stack([tensor, tensor + 1], dim=1)[:, 0] for tensor in tensors]
    tokens, offsets, reference, lengths = strided
    tokens.requires_grad_()
    got = fused_preference(tokens, offsets, reference, loss="ipo", beta=0.1, lengths=lengths)
    for ours, theirs in zip(got, want, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(*torch.autograd.grad(got.loss, tokens), gradient)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "dpo"}, "unknown loss 'dpo': known are apo_zero, "),
        ({"loss": "sigmoid", "label_smoothing": 0.1}, "sigmoid does not read label_smoothing"),
        ({"loss": "robust", "discopop_tau": 1.0}, "it reads beta, label_smoothing"),
        ({"loss": "robust", "label_smoothing": 0.5}, r"label_smoothing must be in \[0, 0.5\)"),
        ({"loss": "exo_pair"}, "set label_smoothing"),
        ({"loss": "discopop", "discopop_tau": 0.0}, "discopop_tau must be positive"),
        ({"beta": 0.0}, "beta must be positive: received 0.0"),
        ({"token_logps": torch.zeros(4, dtype=torch.bfloat16)}, "received torch.bfloat16"),
        ({"token_logps": torch.zeros(2, 2)}, r"received torch.float32 \[2, 2\]"),
        ({"reference": torch.zeros(3)}, r"reference must be float32 \[2B\]"),
        ({"reference": torch.zeros(0)}, r"reference must be float32 \[2B\]"),
        ({"offsets": torch.zeros(4, dtype=torch.int64)}, r"int64 \[5\]: received"),
        ({"offsets": torch.zeros(5)}, "received torch.float32"),
        ({"lengths": torch.ones(2)}, r"lengths must be \[4\]"),
        (
            {"lengths": torch.ones(4, device="meta")},
            "a plain strided tensor: received a tensor on the meta device",
        ),
        ({"reference": torch.zeros(2 * MAX_PAIRS + 2)}, "up to 512 pairs: received 513; use"),
    ],
)
def test_refusals(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "token_logps": torch.zeros(4),
        "offsets": torch.arange(5),
        "reference": torch.zeros(4),
        "loss": "sigmoid",
        "beta": 0.1,
    } | change
    for key, value in given.items():
        if isinstance(value, Tensor) and value.device.type == "cpu":
            given[key] = value.to(DEVICE)
    with pytest.raises(ValueError, match=message):
        fused_preference(**given)


@pytest.mark.slow
def test_a_cpu_needs_the_interpreter() -> None:
    code = """
import torch
from clairkit.kernels.preference import fused_preference
try:
    fused_preference(torch.zeros(4), torch.arange(5), torch.zeros(4), loss="sigmoid", beta=0.1)
except RuntimeError as error:
    print(error)
"""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "fused_preference can't run here: " in shown
    assert "TRITON_INTERPRET=1" in shown
    assert "use clairkit.losses.preference_loss" in shown
