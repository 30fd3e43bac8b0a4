"""The losses by their TRL names, and what each needs to know about its batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from clairkit.errors import UsageError, suggest
from clairkit.losses import pairwise
from clairkit.losses.pairwise import LossOptions, PairLogps


@dataclass(frozen=True)
class Loss:
    """A loss function with what it reads beyond the four log-probs.

    Attributes:
        function: from B pairs to B losses.
        options: names of `LossOptions` that it reads, beside beta.
        default_label_smoothing: where label_smoothing is not given.
        coupled: the loss of a pair depends on the other pairs of the batch, so that a batch can't
            be cut into parts.
        step_means: it reads a mean of `PairLogps`, which for a part must be the whole step's.
        needs_both: a pair without one of its sides has no loss.
        reads_reference: False for a loss of the policy alone.
    """

    function: Callable[[PairLogps, LossOptions], Tensor]
    options: tuple[str, ...] = ()
    default_label_smoothing: float = 0.0
    coupled: bool = False
    step_means: bool = False
    needs_both: bool = True
    reads_reference: bool = True


_SMOOTHED = ("label_smoothing",)
_DIVERGENCE = ("f_divergence_type", "f_alpha_divergence_coef")

LOSSES: dict[str, Loss] = {
    "apo_zero": Loss(pairwise.apo_zero),
    "apo_down": Loss(pairwise.apo_down),
    "sigmoid": Loss(pairwise.sigmoid, _DIVERGENCE),
    "hinge": Loss(pairwise.hinge, _DIVERGENCE),
    "ipo": Loss(pairwise.ipo, _DIVERGENCE),
    "robust": Loss(pairwise.robust, (*_SMOOTHED, *_DIVERGENCE)),
    "exo_pair": Loss(pairwise.exo_pair, (*_SMOOTHED, *_DIVERGENCE), default_label_smoothing=1e-3),
    "nca_pair": Loss(pairwise.nca_pair),
    "bco_pair": Loss(pairwise.bco_pair),
    "sppo_hard": Loss(pairwise.sppo_hard),
    "aot": Loss(pairwise.aot, _SMOOTHED, coupled=True),
    "aot_unpaired": Loss(pairwise.aot_unpaired, _SMOOTHED, coupled=True),
    "discopop": Loss(pairwise.discopop, ("discopop_tau", *_DIVERGENCE)),
    "sft": Loss(pairwise.sft, step_means=True, needs_both=False, reads_reference=False),
    "sigmoid_norm": Loss(pairwise.sigmoid_norm, _DIVERGENCE),
    "apo_zero_unpaired": Loss(pairwise.apo_zero_unpaired, step_means=True, needs_both=False),
}


ALIASES = {"dpo": "sigmoid", "bco": "bco_pair"}
"""What papers call a loss, with the name that it has here and in TRL."""


def loss_name(name: str) -> str:
    """Return the name of a loss as `LOSSES` has it; a dash stands for an underscore.

    An alias of `ALIASES` gets the name that it stands for.

    Raises:
        UsageError: there is none; suggests the nearest name.
    """
    known = name.replace("-", "_")
    known = ALIASES.get(known, known)
    if known in LOSSES:
        return known
    hint = suggest(known, (*LOSSES, *ALIASES), shown=repr)
    remedy = f"{hint}Known losses: {', '.join(LOSSES)}"
    raise UsageError("unknown loss", received=name, remedy=remedy)


def find_loss(name: str) -> Loss:
    """Return the loss of that name, see `loss_name`."""
    return LOSSES[loss_name(name)]
