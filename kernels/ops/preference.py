"""Reduce token log-probs to a preference loss, as one differentiable call.

On a GPU a batch is one launch forward and one backward; no value is read by the host in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from clairkit.kernels.inputs import check_plain

_REMEDY = "use clairkit.losses.preference_loss on the summed log-probs"
_DEFAULTS = {"label_smoothing": 0.0, "discopop_tau": 0.05}


class FusedPreference(NamedTuple):
    """The loss of a batch of B pairs, float32; only `loss` carries gradient."""

    loss: Tensor  # [], the mean of losses
    losses: Tensor  # [B], in sorted order for aot and aot_unpaired
    chosen_rewards: Tensor  # [B], beta * (sum - reference)
    rejected_rewards: Tensor  # [B]
    sums: Tensor  # [2B] summed log-probs, nats
    coefficients: Tensor  # [2B], d loss / d sums


@dataclass(frozen=True)
class _Options:
    loss: str
    beta: float
    label_smoothing: float
    discopop_tau: float


def fused_preference(
    token_logps: Tensor,  # [N] float32
    offsets: Tensor,  # [2B + 1] int32 or int64
    reference: Tensor,  # [2B] float32
    *,
    loss: str,
    beta: float,
    lengths: Tensor | None = None,  # [2B], any dtype
    label_smoothing: float = 0.0,
    discopop_tau: float = 0.05,
) -> FusedPreference:
    """Return what `clairkit.losses.preference_loss` makes of the summed log-probs of B pairs.

    Sums are made in float64 and rounded once. The same input gives the same bits.

    Args:
        token_logps: [N], the tokens of 2B sequences one after the other, B chosen, then B
            rejected; differentiable. Padding may be among them, with log-prob 0.
        offsets: [2B + 1], where each sequence starts, and where the last one ends.
        reference: [2B], summed log-probs under the reference.
        loss: a name of `clairkit.losses.LOSSES`.
        beta: strength of the anchor.
        lengths: [2B] response tokens; None counts those between the offsets. ipo, sigmoid_norm and
            sft read them.
        label_smoothing: in [0, 0.5), read by robust, exo_pair, aot and aot_unpaired.
        discopop_tau: temperature of discopop's mixture.

    Raises:
        ValueError: an unknown loss, an option it does not read, tensors that don't fit, or more
            pairs than one launch holds (512).
        RuntimeError: there is no Triton, or the tensors are not on a GPU (Triton's interpreter,
            TRITON_INTERPRET=1, takes those of a CPU).
    """
    options = _Options(loss, float(beta), float(label_smoothing), float(discopop_tau))
    check_plain(token_logps=token_logps, offsets=offsets, reference=reference, lengths=lengths)
    _check_device(token_logps.device)
    _check_options(options)
    _check_tensors(token_logps, offsets, reference, lengths)
    outputs: tuple[Tensor, ...] = _Preference.apply(  # type: ignore[no-untyped-call]
        token_logps, offsets, reference, lengths, options
    )
    mean, losses, rewards, sums, coefficients = outputs
    pairs = len(losses)
    return FusedPreference(mean, losses, rewards[:pairs], rewards[pairs:], sums, coefficients)


def fits_one_launch(pairs: int) -> bool:
    """Return whether `fused_preference` takes a batch of so many pairs; needs triton."""
    from clairkit.kernels.triton.preference import MAX_PAIRS

    return pairs <= MAX_PAIRS


class _Preference(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        token_logps: Tensor,
        offsets: Tensor,
        reference: Tensor,
        lengths: Tensor | None,
        options: _Options,
    ) -> tuple[Tensor, ...]:
        from clairkit.kernels.triton import configs
        from clairkit.kernels.triton import preference as kernels

        pairs = len(reference) // 2
        offsets, reference = offsets.contiguous(), reference.contiguous()
        mean, losses = reference.new_empty(()), reference.new_empty(pairs)
        rewards, sums, coefficients = (torch.empty_like(reference) for _ in range(3))
        with torch.cuda.device_of(token_logps):  # type: ignore[no-untyped-call]
            kernels.preference_kernel[(1,)](
                token_logps.contiguous(),
                offsets,
                reference,
                None if lengths is None else lengths.contiguous(),
                mean,
                losses,
                rewards,
                sums,
                coefficients,
                len(token_logps),
                pairs,
                options.beta,
                options.label_smoothing,
                options.discopop_tau,
                **kernels.preference_constexprs(options.loss, pairs),
                num_warps=kernels.NUM_WARPS,
                num_stages=kernels.NUM_STAGES,
                enable_fp_fusion=configs.FUSE_MULTIPLY_ADD,
            )
        ctx.save_for_backward(coefficients, offsets, token_logps)
        ctx.tokens = len(token_logps)
        ctx.mark_non_differentiable(losses, rewards, sums, coefficients)
        return mean, losses, rewards, sums, coefficients

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        coefficients, offsets, token_logps = ctx.saved_tensors
        with torch.no_grad():
            found = _spread(gradient, coefficients, offsets, ctx.tokens)
        if torch.is_grad_enabled():
            found = _Once.apply(found, token_logps, gradient)  # type: ignore[no-untyped-call]
        return found, None, None, None, None


class _Once(torch.autograd.Function):
    """Passes a gradient on that can't be differentiated: whoever tries is told."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *inputs: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        raise RuntimeError(f"fused_preference has no second derivative: {_REMEDY}")


def _spread(gradient: Tensor, coefficients: Tensor, offsets: Tensor, tokens: int) -> Tensor:
    """Return the gradient of token log-probs [N], of that of the loss []."""
    from clairkit.kernels.triton import configs
    from clairkit.kernels.triton import preference as kernels

    token_gradients = coefficients.new_zeros(tokens)
    with torch.cuda.device_of(coefficients):  # type: ignore[no-untyped-call]
        kernels.spread_kernel[(len(coefficients),)](
            coefficients,
            offsets,
            gradient.contiguous(),
            token_gradients,
            tokens,
            TOKENS=kernels.SPREAD_TOKENS,
            num_warps=kernels.SPREAD_WARPS,
            num_stages=kernels.NUM_STAGES,
            enable_fp_fusion=configs.FUSE_MULTIPLY_ADD,
        )
    return token_gradients


def _check_device(device: torch.device) -> None:
    from clairkit.kernels.triton import interpreted, unavailable_reason

    reason = unavailable_reason()
    if reason is None and device.type != "cuda" and not interpreted():
        reason = f"the tensors are on {device}, which takes TRITON_INTERPRET=1 at the start"
    if reason is not None:
        raise RuntimeError(f"fused_preference can't run here: {reason}; {_REMEDY}")


def _check_options(options: _Options) -> None:
    from clairkit.kernels.triton.preference import LOSS_KERNELS

    if options.loss not in LOSS_KERNELS:
        raise ValueError(f"unknown loss {options.loss!r}: known are {', '.join(LOSS_KERNELS)}")
    reads = LOSS_KERNELS[options.loss].options
    for name, default in _DEFAULTS.items():
        value = getattr(options, name)
        if name not in reads and value != default:
            known = ", ".join(("beta", *reads))
            raise ValueError(
                f"{options.loss} does not read {name} (received {value}): it reads {known}"
            )
    if not options.beta > 0:
        raise ValueError(f"beta must be positive: received {options.beta}")
    if not 0 <= options.label_smoothing < 0.5:
        raise ValueError(f"label_smoothing must be in [0, 0.5): received {options.label_smoothing}")
    if options.loss == "exo_pair" and options.label_smoothing == 0:
        raise ValueError("exo_pair compares with a smoothed label: set label_smoothing, as 1e-3")
    if not options.discopop_tau > 0:
        raise ValueError(f"discopop_tau must be positive: received {options.discopop_tau}")


def _check_tensors(
    token_logps: Tensor, offsets: Tensor, reference: Tensor, lengths: Tensor | None
) -> None:
    from clairkit.kernels.triton.preference import MAX_PAIRS

    if token_logps.ndim != 1 or token_logps.dtype != torch.float32:
        raise ValueError(f"token_logps must be float32 [N]: received {_describe(token_logps)}")
    pairs, odd = divmod(reference.numel(), 2)
    if reference.ndim != 1 or odd or not pairs or reference.dtype != torch.float32:
        raise ValueError(f"reference must be float32 [2B], B > 0: received {_describe(reference)}")
    if pairs > MAX_PAIRS:
        raise ValueError(f"one launch takes up to {MAX_PAIRS} pairs: received {pairs}; {_REMEDY}")
    if offsets.shape != (2 * pairs + 1,) or offsets.dtype not in (torch.int32, torch.int64):
        raise ValueError(
            f"offsets must be int32 or int64 [{2 * pairs + 1}]: received {_describe(offsets)}"
        )
    if lengths is not None and lengths.shape != reference.shape:
        raise ValueError(f"lengths must be [{2 * pairs}]: received {_describe(lengths)}")


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
