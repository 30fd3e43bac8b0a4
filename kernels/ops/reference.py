"""The op in plain torch, with all logits at once: the truth that the other backends meet.

Shapes: N tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clairkit.kernels.options import HeadOptions


def head_logits(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, options: HeadOptions
) -> Tensor:
    """Return the logits [N, V], at least float32, of hidden [N, D] and weight [V, D]."""
    dtype = torch.promote_types(torch.promote_types(hidden.dtype, weight.dtype), torch.float32)
    # Autocast would round the products; the reference may not be rounded.
    with torch.autocast(hidden.device.type, enabled=False):
        logits = hidden.to(dtype) @ weight.to(dtype).T
        if bias is not None:
            logits = logits + bias.to(dtype)
        if options.softcap is not None:
            logits = options.softcap * torch.tanh(logits / options.softcap)
        return options.logit_scale * logits


def eager_logps(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, options: HeadOptions
) -> tuple[Tensor, ...]:
    """Return log softmax(logits)[target] for each token, [N]; targets are all valid.

    With statistics, also the entropy of softmax(logits), whether no other logit is larger than the
    target's, and the mean logit, each [N] and detached.
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
