"""Compute the same step by other libraries, each with the settings that it uses itself.

They are given what their trainers would not all do: there is no padding, the sequences of a pair
are equally long, and the reference's log-probs are there already. Where a case has prompts, their
targets are -100 and each does with them what it does: TRL's trainer drops them on a GPU alone.
Each is imported when it is
measured, never before.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.problem import (
    Problem,
    Step,
    Variant,
    float32_logits,
    from_logps,
    plain_logps,
)

_TRL_TOKENS, _TRL_VOCABULARY = 4096, 32768  # of its tiles, to predict its memory


@dataclass(frozen=True)
class Peer:
    package: str  # as pip names it
    module: str
    variants: Callable[[KernelCase, torch.device], list[Variant]]
    preload: tuple[str, ...] = ()  # what takes seconds to import, safe before a fork
    gpu_only: bool = False


def absence(name: str, device: torch.device) -> str:
    """Return why a peer can't be measured here, or ""."""
    peer = PEERS[name]
    if importlib.util.find_spec(peer.module) is None:
        return f"{peer.package} is not installed"
    if peer.gpu_only and device.type != "cuda":
        return "runs on a GPU alone"
    return ""


def _trl(case: KernelCase, device: torch.device) -> list[Variant]:
    def load() -> Step:
        from trl.kernels import ChunkedLogProbFunction
        from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE as vocabulary

        def logps(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            # no bias, temperature 1, no softcap, no scale, log-probs alone: as its DPOTrainer asks
            options = (1.0, vocabulary, None, 1.0, ("log_probs",))
            valid = targets >= 0
            if device.type == "cuda":  # its trainer compacts there, and only there
                hidden, labels = hidden[valid], targets[valid]
            else:
                labels = targets.clamp(min=0)
            found = ChunkedLogProbFunction.apply(hidden, weight, None, labels, *options)
            result: Tensor = found[0]
            if device.type == "cuda":
                return result.new_zeros(len(targets)).masked_scatter(valid, result)
            return torch.where(valid, result, 0.0)

        return from_logps(logps)

    def extra(case: KernelCase) -> float:
        tile = min(case.positions, _TRL_TOKENS) * min(case.vocabulary, _TRL_VOCABULARY)
        rows = case.positions + (case.vocabulary if case.head == "full" else 0)
        return 4.0 * (5 * tile + rows * case.hidden)

    return [Variant("trl", "trl", load, extra)]


def _liger(case: KernelCase, device: torch.device) -> list[Variant]:
    pairs = case.sequences // 2
    found = [
        Variant(
            "liger dpo", "liger", _load_liger_dpo, lambda case: 6 * float32_logits(case) / pairs
        )
    ]
    if device.type == "cuda":
        found.append(Variant("liger ce", "liger", _load_liger_ce))
        hopper = torch.cuda.get_device_capability(device) == (9, 0)
        if hopper and case.dtype == "bfloat16" and _has_scaled_ce():
            found.append(Variant("liger scaled ce", "liger", _load_liger_scaled_ce))
    return found


def _load_liger_dpo() -> Step:
    """Its chunked preference loss, a pair a chunk, with sums of the reference that are known.

    The loss class of Liger computes the reference from its hidden states on every call; its base
    class takes any arguments of the loss, and so the sums.
    """
    from liger_kernel.chunked_loss.dpo_loss import LigerFusedLinearDPOFunction as Dpo
    from liger_kernel.chunked_loss.fused_linear_preference import (
        LigerFusedLinearPreferenceBase as Base,
    )

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any,
            hidden: Tensor,
            weight: Tensor,
            targets: Tensor,
            reference: Tensor,
            beta: float,
        ) -> tuple[Tensor, Tensor, Tensor]:
            loss, (chosen, rejected, *_) = Base.forward(
                Dpo,
                ctx,
                hidden,
                weight,
                targets,
                beta=beta,
                loss_type="apo_zero",
                compute_nll_loss=False,
                average_log_prob=False,
                compiled=True,
                ref_chosen_logps=reference[:1],
                ref_rejected_logps=reference[1:],
            )
            ctx.mark_non_differentiable(chosen, rejected)
            return loss, chosen, rejected

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
            hidden, weight = Base.backward(ctx, gradients)[:2]
            return hidden, weight, None, None, None

    def step(problem: Problem) -> tuple[Tensor, Tensor]:
        count = problem.sequences // 2
        hidden = problem.hidden.view(2, count, -1, problem.hidden.shape[1])
        targets = problem.targets.view(2, count, -1)
        sums = problem.reference.view(2, count)
        found = [
            Pair.apply(hidden[:, i], problem.weight, targets[:, i], sums[:, i], problem.beta)  # type: ignore[no-untyped-call]
            for i in range(count)
        ]
        loss = torch.stack([loss for loss, _, _ in found]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        sides = [torch.cat([pair[side] for pair in found]) for side in (1, 2)]
        return loss.detach(), torch.cat(sides)

    return step


def per_sequence(negative_sum: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Step:
    """Return the step of a function that gives one sequence's negative log-prob, summed []."""

    def step(problem: Problem) -> tuple[Tensor, Tensor]:
        parts = zip(
            problem.hidden.chunk(problem.sequences),
            problem.targets.chunk(problem.sequences),
            strict=True,
        )
        sums = torch.stack(
            [-negative_sum(hidden, problem.weight, targets).float() for hidden, targets in parts]
        )
        loss = problem.loss(sums)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), sums.detach()

    return step


def _load_liger_ce() -> Step:
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    loss = LigerFusedLinearCrossEntropyLoss(reduction="sum", accum_dtype=torch.float32)

    def negative_sum(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        found: Tensor = loss(weight, hidden, targets)
        return found

    return per_sequence(negative_sum)


def _has_scaled_ce() -> bool:
    from liger_kernel import ops

    return hasattr(ops, "LigerFusedLinearScaledCrossEntropyFunction")


def _load_liger_scaled_ce() -> Step:
    from liger_kernel.ops import LigerFusedLinearScaledCrossEntropyFunction as ScaledCe

    def logps(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        found: Tensor = -ScaledCe.apply(hidden, weight, targets)
        return found

    return from_logps(logps)


def _cce(case: KernelCase, device: torch.device) -> list[Variant]:
    on_gpu = device.type == "cuda"

    def load() -> Step:
        from cut_cross_entropy import linear_cross_entropy

        kernel = "cce" if on_gpu else "torch_compile"

        def logps(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            found: Tensor = linear_cross_entropy(
                hidden, weight, targets, reduction="none", impl=kernel
            )
            return -found

        return from_logps(logps)

    def extra(case: KernelCase) -> float:
        return 0.0 if on_gpu else 1.1 * case.logit_bytes

    return [Variant("cce", "cce", load, extra)]


def _torch(case: KernelCase, device: torch.device) -> list[Variant]:
    def load() -> Step:
        compiled = torch.compile(plain_logps, dynamic=True)
        return from_logps(compiled)

    def extra(case: KernelCase) -> float:
        # logits, their log-softmax in float32, and the gradient of one of them
        return float32_logits(case) * (2.1 if case.dtype == "float32" else 1.5)

    found = [Variant("torch compiled", "torch", load, extra)]
    if not torch_lacks():
        found.append(Variant(TORCH_OWN, "torch", _load_torch_own, _torch_own_bytes))
    return found


TORCH_OWN = "torch linear_cross_entropy"


def torch_lacks() -> str:
    """Return why torch's own chunked head can't be measured, or ""."""
    there = hasattr(torch.nn, "LinearCrossEntropyOptions")
    return "" if there else f"torch {torch.__version__} has none, 2.13 does"


def _load_torch_own() -> Step:
    """Take torch's own choice of chunks and precision.

    A sum a sequence is the cheapest that a preference loss can be made of. It comes in the dtype of
    the inputs: bfloat16 would round a response's log-prob by up to 16 nats, so there each token is
    asked for, whose chunks are computed twice.
    """
    head = torch.nn.functional.linear_cross_entropy
    options = torch.nn.LinearCrossEntropyOptions()

    def negative_sum(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        return head(hidden, weight, targets, reduction="sum", options=options)

    def logps(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        return -head(hidden, weight, targets, reduction="none", options=options).float()

    sums, tokens = per_sequence(negative_sum), from_logps(logps)

    def step(problem: Problem) -> tuple[Tensor, Tensor]:
        return (sums if problem.hidden.dtype == torch.float32 else tokens)(problem)

    return step


def _torch_own_bytes(case: KernelCase) -> float:
    # A chunk's logits and their gradient, twice as wide as high; the weight's gradient twice.
    rows = case.vocabulary if case.head == "full" else 0
    return 8.0 * case.vocabulary * case.hidden + 4.0 * rows * case.hidden


def _quack(case: KernelCase, device: torch.device) -> list[Variant]:
    def load() -> Step:
        from quack.linear_cross_entropy import chunked_linear_cross_entropy

        def negative_sum(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            found: Tensor = chunked_linear_cross_entropy(hidden, weight, targets, reduction="sum")
            return found

        return per_sequence(negative_sum)

    return [Variant("quack", "quack", load)]


PEERS: dict[str, Peer] = {
    "trl": Peer("trl", "trl", _trl, ("trl.kernels", "trl.trainer.utils")),
    "liger": Peer("liger-kernel", "liger_kernel", _liger, ("liger_kernel.chunked_loss.dpo_loss",)),
    "cce": Peer("cut-cross-entropy", "cut_cross_entropy", _cce, ("cut_cross_entropy",)),
    "torch": Peer("torch", "torch", _torch, ("torch._dynamo",)),
    "quack": Peer("quack-kernels", "quack", _quack, gpu_only=True),
}


def check_names(names: list[str]) -> list[str]:
    """Return the names, each once.

    Raises:
        ValueError: one is no peer.
    """
    for name in names:
        if name not in PEERS:
            raise ValueError(f"no such peer: received {name!r}; there are {', '.join(PEERS)}")
    return list(dict.fromkeys(names))
