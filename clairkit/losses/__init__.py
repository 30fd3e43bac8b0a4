"""Preference losses by their TRL names, their mixes, and the one function that applies them.

loss = preference_loss(chosen, rejected, ref_chosen, ref_rejected, loss="apo_zero", beta=0.1)
loss.loss.backward()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from clairkit.errors import UsageError
from clairkit.losses.mix import LOSSES, Loss, LossMix, find_loss, fusable, loss_options, parse_loss
from clairkit.losses.pairwise import LossOptions, PairLogps

__all__ = [
    "LOSSES",
    "Loss",
    "LossMix",
    "LossOptions",
    "PairLogps",
    "PreferenceLoss",
    "find_loss",
    "fusable",
    "loss_options",
    "parse_loss",
    "preference_loss",
]

_LENGTHS = ("chosen_lengths", "rejected_lengths")
_MEANS = ("mean_chosen_length", "mean_sides")


@dataclass(frozen=True)
class PreferenceLoss:
    """The loss of a batch of B pairs; only `loss` and `losses` carry gradient."""

    loss: Tensor  # [], the mean
    losses: Tensor  # [B]
    chosen_rewards: Tensor  # [B], beta * log-ratio, detached; 0 for a side that is absent
    rejected_rewards: Tensor  # [B]
    terms: Mapping[str, Tensor] = field(default_factory=dict)  # [] each, without its weight


def preference_loss(
    chosen_logps: Tensor,
    rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    *,
    loss: str | LossMix = "apo_zero",
    beta: float = 0.1,
    **options: Any,
) -> PreferenceLoss:
    """Apply a loss, or a mix of losses, to summed log-probs of B pairs.

    The pairs may be a part of a step: with the whole step's means given, the parts' losses, each
    times its share of the step's pairs, sum up to the whole step's (not for a `coupled` loss).

    Args:
        chosen_logps: [B], nats, under the policy; carries gradient.
        rejected_logps: [B].
        ref_chosen_logps: [B], under the reference.
        ref_rejected_logps: [B].
        loss: a name of `LOSSES`, or a sum such as `apo_zero+0.1*sft`.
        beta: strength of the anchor; rewards are beta * log-ratio. `sft` does not read it.
        **options: `chosen_lengths`, `rejected_lengths` ([B] response tokens, or the sums of their
            weights; ipo, sigmoid_norm and sft need them; 0 marks an absent side for
            apo_zero_unpaired), `mean_chosen_length` and `mean_sides` (of the whole step:
            chosen tokens / pairs, sides that are there / pairs), `label_smoothing` (robust,
            exo_pair, aot, aot_unpaired), `discopop_tau` (discopop), `f_divergence_type` and
            `f_alpha_divergence_coef` (losses of the difference of log-ratios).

    Raises:
        UsageError: an unknown loss, an option that no term reads, unequal shapes.
    """
    mix = loss if isinstance(loss, LossMix) else parse_loss(loss)
    lengths = {key: options.pop(key, None) for key in _LENGTHS}
    means = {key: options.pop(key, None) for key in _MEANS}
    given = {
        "chosen_logps": chosen_logps,
        "rejected_logps": rejected_logps,
        "ref_chosen_logps": ref_chosen_logps,
        "ref_rejected_logps": ref_rejected_logps,
    }
    _check_shapes(given | lengths, len(chosen_logps))
    chosen, rejected, ref_chosen, ref_rejected = map(_at_least_float32, given.values())
    pairs = PairLogps(chosen, rejected, ref_chosen, ref_rejected, **lengths, **means)
    losses, terms = _mixed(mix, pairs, loss_options(mix, beta, options))
    return PreferenceLoss(
        loss=losses.mean(),
        losses=losses,
        chosen_rewards=beta * pairs.chosen_ratio.detach(),
        rejected_rewards=beta * pairs.rejected_ratio.detach(),
        terms=terms,
    )


def _mixed(
    mix: LossMix, pairs: PairLogps, options: tuple[LossOptions, ...]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the terms [B], and the mean of each term."""
    losses = torch.zeros_like(pairs.chosen)
    terms = {}
    for (weight, name), term, read in zip(mix.terms, mix.losses, options, strict=True):
        values = term.function(pairs, read)
        terms[name] = values.detach().mean()
        losses = losses + weight * values
    return losses, terms


def _check_shapes(vectors: Mapping[str, Tensor | None], count: int) -> None:
    """A vector [B, 1] would broadcast to [B, B], a loss of every pair with every other."""
    shapes = {name: list(t.shape) for name, t in vectors.items() if t is not None}
    if any(shape != [count] for shape in shapes.values()):
        received = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UsageError(f"the vectors of {count} pairs must be [{count}]", received=received)


def _at_least_float32(logps: Tensor) -> Tensor:
    return logps.to(torch.promote_types(logps.dtype, torch.float32))
