"""Compute per-token log-probs from hidden states and head, without full logits: `linear_logps`.

Nothing here imports clairkit outside of this package, so that it runs on a bare GPU box.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from clairkit.kernels.backends import (
    BACKENDS,
    Availability,
    available_backends,
    backend_state,
    choose_backend,
)
from clairkit.kernels.function import Call, tiled_logps
from clairkit.kernels.gather import gather_logps
from clairkit.kernels.inputs import Counted, check_head, check_plain
from clairkit.kernels.options import IGNORED, HeadOptions, budget_bytes
from clairkit.kernels.preference import FusedPreference, fused_preference
from clairkit.kernels.reference import eager_logps

__all__ = [
    "IGNORED",
    "Availability",
    "FusedPreference",
    "TokenStats",
    "available_backends",
    "choose_backend",
    "fused_preference",
    "gather_logps",
    "linear_logps",
    "linear_token_stats",
]


def linear_logps(
    hidden: Tensor,  # [N, D]
    weight: Tensor,  # [V, D]
    targets: Tensor,  # [N] int64
    *,
    bias: Tensor | None = None,  # [V]
    softcap: float | None = None,
    logit_scale: float = 1.0,
    backend: str = "auto",
    memory_budget: int | str | None = None,
) -> Tensor:
    """Return log p(target) of each token, float32 [N], in nats; 0 where a target is ignored.

    The logits are `logit_scale * cap(hidden @ weight.T + bias)`, `cap(x) = softcap * tanh(x /
    softcap)`. Differentiable in hidden, weight and bias. Ignored tokens cost nothing.

    Args:
        hidden: [N, D], any float dtype (float16 is computed in float32).
        weight: [V, D].
        targets: [N], each in [0, V) or -100 (ignored).
        bias: [V] or None.
        softcap: cap of the logits (Gemma 2), None for none.
        logit_scale: factor on the logits (Cohere, Granite).
        backend: "auto" or a name of `available_backends()`.
        memory_budget: bytes that a head-training pass may keep, so as not to make products
            twice; None: on a CPU a sixteenth of its memory, 1 GiB at most, where four times as
            much is free, and 32 MiB elsewhere; "auto": a quarter of the free memory. Gradients
            depend on it by their dtype's rounding, log-probs not at all.

    Raises:
        ValueError: shapes, targets or options don't fit.
        RuntimeError: a backend asked for by name can't run here.
    """
    tensors = hidden, weight, targets, bias
    return _run(tensors, softcap, logit_scale, backend, memory_budget, statistics=False)[0]


class TokenStats(NamedTuple):
    """What `linear_token_stats` returns, each [N]; log-probs alone carry gradient."""

    logps: Tensor  # float32 nats; 0 where ignored
    entropy: Tensor  # float32 nats, of the distribution over the vocabulary; 0 where ignored
    hits: Tensor  # bool: no other token's logit is larger than the target's; False where ignored
    mean_logits: Tensor  # float32, over the vocabulary; 0 where ignored


def linear_token_stats(
    hidden: Tensor,  # [N, D]
    weight: Tensor,  # [V, D]
    targets: Tensor,  # [N] int64
    *,
    bias: Tensor | None = None,  # [V]
    softcap: float | None = None,
    logit_scale: float = 1.0,
    backend: str = "auto",
    memory_budget: int | str | None = None,
) -> TokenStats:
    """Return log-probs as `linear_logps` does, with statistics from the same pass.

    No product is made for them, and no logits. Arguments and errors are those of `linear_logps`.

    Args:
        hidden: [N, D], as of `linear_logps`, and so all others.
        weight: [V, D].
        targets: [N], int64.
        bias: [V].
        softcap: of the logits.
        logit_scale: of the logits.
        backend: which implementation.
        memory_budget: bytes that may be kept for the backward pass.
    """
    tensors = hidden, weight, targets, bias
    return TokenStats(*_run(tensors, softcap, logit_scale, backend, memory_budget, statistics=True))


def _run(
    tensors: tuple[Tensor, Tensor, Tensor, Tensor | None],
    softcap: float | None,
    logit_scale: float,
    backend: str,
    memory_budget: int | str | None,
    *,
    statistics: bool,
) -> tuple[Tensor, ...]:
    """Check, and run a backend; "auto" is resolved where the tensors' values are at hand."""
    hidden, weight, targets, bias = tensors
    check_plain(hidden=hidden, weight=weight, targets=targets, bias=bias)
    is_trained = weight.requires_grad or (bias is not None and bias.requires_grad)
    trained = is_trained and torch.is_grad_enabled()
    budget = budget_bytes(memory_budget, hidden.device, trained=trained)
    options = HeadOptions(softcap, float(logit_scale), budget, statistics)
    check_head(hidden, weight, targets, bias)
    if backend not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend {backend!r}: known are auto, {', '.join(BACKENDS)}")
    if backend != "auto" and not (state := backend_state(backend)).available:
        raise RuntimeError(f"backend {backend!r} can't run here: {state.reason}")
    dtype = _compute_dtype(hidden, weight)
    if backend != "eager":
        call = Call(options, backend, dtype, padded=torch.compiler.is_compiling())
        return tiled_logps(hidden, weight, targets, bias, call)
    with torch.autocast(hidden.device.type, enabled=False):
        counted = Counted.of(targets, len(weight))
        found = eager_logps(
            counted.pick(hidden).to(dtype), weight, counted.pick(targets), bias, options
        )
        return tuple(counted.spread(values) for values in found)


def _compute_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    """Return the dtype of the products; under autocast that is what it asks for."""
    dtype = torch.promote_types(hidden.dtype, weight.dtype)
    device = hidden.device.type
    if dtype == torch.float32 and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    # exp(logit - anchor) leaves float16's range
    return torch.float32 if dtype == torch.float16 else dtype
