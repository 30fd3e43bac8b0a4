"""Compute the op in plain torch, with all logits at once: the truth that the others meet.

Shapes: N tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clairkit.kernels.options import IGNORED, HeadOptions


def head_logits(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, options: HeadOptions
) -> Tensor:
    """Return the logits [N, V], at least float32, of hidden [N, D] and weight [V, D].

    Args:
        hidden: [N, D].
        weight: [V, D].
        bias: [V], or None.
        options: softcap and scale.
    """
    dtype = torch.promote_types(torch.promote_types(hidden.dtype, weight.dtype), torch.float32)
    # Autocast would round the products; the reference may not be rounded.
    with torch.autocast(hidden.device.type, enabled=False):
        logits = hidden.to(dtype) @ weight.to(dtype).T
        if bias is not None:
            logits = logits + bias.to(dtype)
        if options.softcap is not None:
            logits = options.softcap * torch.tanh(logits / options.softcap)
        return options.logit_scale * logits


def eager_gradients(
    coefficients: Tensor,
    inputs: tuple[Tensor, Tensor, Tensor, Tensor | None],
    options: HeadOptions,
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor | None, ...]:
    """Return the wanted gradients of hidden, weight and bias as functions that have gradients.

    Args:
        coefficients: [N], dloss/dlogps.
        inputs: hidden, weight, targets, which may be ignored, and bias or None.
        options: of the head.
        wanted: of the three; None stands for what is not.
    """
    hidden, weight, targets, bias = inputs
    mask = targets != IGNORED
    chosen = hidden[mask]
    logits = head_logits(chosen, weight, bias, options)
    d_logits = logits_gradient(logits, targets[mask], coefficients[mask]) * options.logit_scale
    if options.softcap is not None:
        capped = logits / (options.softcap * options.logit_scale)
        d_logits = d_logits * (1 - capped * capped)
    found: list[Tensor | None] = [None, None, None]
    if wanted[0]:
        rows = (d_logits @ weight.to(logits.dtype)).to(hidden.dtype)
        found[0] = torch.zeros_like(hidden).index_put((mask,), rows)
    if wanted[1]:
        found[1] = (d_logits.T @ chosen.to(logits.dtype)).to(weight.dtype)
    if wanted[2] and bias is not None:
        found[2] = d_logits.sum(0).to(bias.dtype)
    return tuple(found)


def logits_gradient(logits: Tensor, targets: Tensor, coefficients: Tensor) -> Tensor:
    """Return the gradient of logits [N, V], given dloss/dlogps [N], as one that has a gradient."""
    index = targets[:, None]
    log_probabilities = torch.log_softmax(logits, -1)
    own = -torch.expm1(log_probabilities.gather(1, index))  # 1 - p has lost its digits near p = 1
    found = (-log_probabilities.exp()).scatter(1, index, own)
    return coefficients.to(logits.dtype)[:, None] * found


def eager_logps(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, options: HeadOptions
) -> tuple[Tensor, ...]:
    """Return log softmax(logits)[target] for each token, [N]; targets are all valid.

    With statistics, also the entropy of softmax(logits), whether no other logit is larger than the
    target's, and the mean logit, each [N] and detached.

    Args:
        hidden: [N, D].
        weight: [V, D].
        targets: [N], all valid.
        bias: [V], or None.
        options: softcap, scale, and whether statistics are wanted.
    """
    return logps_of(head_logits(hidden, weight, bias, options), targets, options.statistics)


def logps_of(logits: Tensor, targets: Tensor, statistics: bool) -> tuple[Tensor, ...]:
    """Return what `eager_logps` does, of logits [N, V] that are there, at least float32."""
    index = targets[:, None]
    log_probabilities = torch.log_softmax(logits, -1)
    logps = log_probabilities.gather(1, index)[:, 0]
    if not statistics:
        return (logps,)
    with torch.no_grad():
        probabilities = log_probabilities.exp()
        entropy = -torch.xlogy(probabilities, probabilities).sum(1)
        hits = logits.gather(1, index)[:, 0] >= logits.amax(1)
        return logps, entropy, hits, logits.mean(1)
