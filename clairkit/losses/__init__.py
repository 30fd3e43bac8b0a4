"""Preference losses by their TRL names, and the one function that applies them.

loss = preference_loss(chosen, rejected, ref_chosen, ref_rejected, loss="apo_zero", beta=0.1)
loss.loss.backward()
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clairkit.errors import UsageError
from clairkit.losses import pairwise
from clairkit.losses.pairwise import LossOptions, PairLogps

__all__ = ["LOSSES", "Loss", "LossOptions", "PairLogps", "PreferenceLoss", "find_loss",
           "loss_options", "preference_loss"]  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """A loss function with what it reads beyond the four log-probs."""

    function: Callable[[PairLogps, LossOptions], Tensor]
    options: tuple[str, ...] = ()  # of LossOptions, beside beta
    default_label_smoothing: float = 0.0


_SMOOTHED = ("label_smoothing",)

LOSSES: dict[str, Loss] = {
    "apo_zero": Loss(pairwise.apo_zero),
    "apo_down": Loss(pairwise.apo_down),
    "sigmoid": Loss(pairwise.sigmoid),
    "hinge": Loss(pairwise.hinge),
    "ipo": Loss(pairwise.ipo),
    "robust": Loss(pairwise.robust, _SMOOTHED),
    "exo_pair": Loss(pairwise.exo_pair, _SMOOTHED, default_label_smoothing=1e-3),
    "nca_pair": Loss(pairwise.nca_pair),
    "bco_pair": Loss(pairwise.bco_pair),
    "sppo_hard": Loss(pairwise.sppo_hard),
    "aot": Loss(pairwise.aot, _SMOOTHED),
    "aot_unpaired": Loss(pairwise.aot_unpaired, _SMOOTHED),
    "discopop": Loss(pairwise.discopop, ("discopop_tau",)),
    "sft": Loss(pairwise.sft),
    "sigmoid_norm": Loss(pairwise.sigmoid_norm),
    "apo_zero_unpaired": Loss(pairwise.apo_zero_unpaired),
}


@dataclass(frozen=True)
class PreferenceLoss:
    """The loss of a batch of B pairs; only `loss` and `losses` carry gradient."""

    loss: Tensor  # [], the mean
    losses: Tensor  # [B]
    chosen_rewards: Tensor  # [B], beta * log-ratio, detached
    rejected_rewards: Tensor  # [B]


def find_loss(name: str) -> Loss:
    """Return the loss of that name; a dash is as good as an underscore.

    Raises:
        UsageError: there is none; suggests the nearest name.
    """
    loss = LOSSES.get(name.replace("-", "_"))
    if loss is None:
        near = difflib.get_close_matches(name, LOSSES, n=1)
        remedy = f"did you mean {near[0]!r}? Known" if near else "known"
        raise UsageError(
            "unknown loss", received=name, remedy=f"{remedy} losses: {', '.join(LOSSES)}"
        )
    return loss


def loss_options(name: str, beta: float, options: Mapping[str, Any]) -> LossOptions:
    """Return the options of a loss, its defaults filled in.

    Raises:
        UsageError: the loss does not read one, or a value is out of range.
    """
    loss = find_loss(name)
    for key in options:
        if key not in loss.options:
            reads = ", ".join(("beta", *loss.options))
            raise UsageError(f"{name} does not read the option {key!r}", remedy=f"it reads {reads}")
    defaults = {}
    if "label_smoothing" in loss.options:
        defaults["label_smoothing"] = loss.default_label_smoothing
    return LossOptions(beta=beta, **{**defaults, **options})


def preference_loss(
    chosen_logps: Tensor,
    rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    *,
    loss: str = "apo_zero",
    beta: float = 0.1,
    **options: Any,
) -> PreferenceLoss:
    """Apply a loss to summed log-probs of B pairs.

    Args:
        chosen_logps: [B], nats, under the policy; carries gradient.
        rejected_logps: [B].
        ref_chosen_logps: [B], under the reference.
        ref_rejected_logps: [B].
        loss: a name of `LOSSES`.
        beta: strength of the anchor; rewards are beta * log-ratio. `sft` does not read it.
        **options: `chosen_lengths`, `rejected_lengths` ([B] response tokens; ipo, sigmoid_norm and
            sft need them), `label_smoothing` (robust, exo_pair, aot, aot_unpaired),
            `discopop_tau` (discopop).

    Raises:
        UsageError: an unknown loss, an option that this loss does not read, unequal shapes.
    """
    chosen = find_loss(loss)
    lengths = {key: options.pop(key, None) for key in ("chosen_lengths", "rejected_lengths")}
    given = {
        "chosen_logps": chosen_logps,
        "rejected_logps": rejected_logps,
        "ref_chosen_logps": ref_chosen_logps,
        "ref_rejected_logps": ref_rejected_logps,
    }
    _check_shapes(given | lengths, len(chosen_logps))
    pairs = PairLogps(*map(_at_least_float32, given.values()), **lengths)
    losses = chosen.function(pairs, loss_options(loss, beta, options))
    return PreferenceLoss(
        loss=losses.mean(),
        losses=losses,
        chosen_rewards=beta * pairs.chosen_ratio.detach(),
        rejected_rewards=beta * pairs.rejected_ratio.detach(),
    )


def _check_shapes(vectors: Mapping[str, Tensor | None], count: int) -> None:
    """A vector [B, 1] would broadcast to [B, B], a loss of every pair with every other."""
    shapes = {name: list(t.shape) for name, t in vectors.items() if t is not None}
    if any(shape != [count] for shape in shapes.values()):
        received = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UsageError(f"the vectors of {count} pairs must be [{count}]", received=received)


def _at_least_float32(logps: Tensor) -> Tensor:
    return logps.to(torch.promote_types(logps.dtype, torch.float32))
