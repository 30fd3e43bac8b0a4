"""Check before any step that the policy is the reference: its rewards and loss are known then."""

from __future__ import annotations

import torch
from torch import nn

from clairkit.errors import GateError
from clairkit.losses import PairLogps

# How far a summed log-prob may stray from the reference before any step, in nats a token.
_NATS = {torch.float32: 1e-4, torch.float64: 1e-6}
_NATS_HALF = 2e-2


def allowed_gap(model: nn.Module, *, half: bool) -> float:
    """Return how far a log-prob may be off, in nats a token.

    Args:
        model: the policy; the dtype of its weights counts.
        half: whether products are rounded to 16 bits, or weights to 4.
    """
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    return _NATS_HALF if half else _NATS.get(dtype, _NATS_HALF)


def check_step_zero(pairs: PairLogps, loss: float, expected: float, nats: float) -> None:
    """Refuse to train a policy that is not its reference.

    Args:
        pairs: log-probs of the first part, made without dropout as the reference's were.
        loss: of these pairs.
        expected: their loss where the policy is the reference.
        nats: see `allowed_gap`.

    Raises:
        GateError: a log-prob is further from the reference's than rounding explains.
    """
    gaps = torch.stack([pairs.chosen_ratio.abs(), pairs.rejected_ratio.abs()])
    sizes = [size for size in (pairs.chosen_lengths, pairs.rejected_lengths) if size is not None]
    if bool((gaps > 1e-3 + nats * torch.stack(sizes)).any()):
        raise GateError(
            f"at step 0 the loss is {loss:.6f} and should be {expected:.6f}; a log-prob is "
            f"{gaps.max().item():.4f} nats away from the reference's",
            remedy="check that the reference is the model you train and that both run in the same "
            "precision; `--kernel eager` rules out the kernel, `--set padding_free=false` the "
            "packing",
        )
