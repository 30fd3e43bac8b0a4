"""Name losses as TRL does, and add them with weights: `apo_zero+0.1*sft`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from clairkit.choices import LOSS_ALIASES
from clairkit.errors import UsageError, suggest
from clairkit.losses import pairwise
from clairkit.losses.pairwise import LossOptions, PairLogps


@dataclass(frozen=True)
class Loss:
    """A loss function with what it reads beyond the four log-probs."""

    function: Callable[[PairLogps, LossOptions], Tensor]  # from B pairs to B losses
    options: tuple[str, ...] = ()  # names of `LossOptions` that it reads, beside beta
    default_label_smoothing: float = 0.0  # where label_smoothing is not given
    # The loss of a pair depends on the other pairs of the batch, so that a batch can't be cut into
    # parts
    coupled: bool = False
    # It reads a mean of `PairLogps`, which for a part must be the whole step's
    step_means: bool = False
    needs_both: bool = True  # a pair without one of its sides has no loss
    reads_reference: bool = True  # False for a loss of the policy alone


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


def loss_name(name: str) -> str:
    """Return the name of a loss as `LOSSES` has it; a dash stands for an underscore.

    An alias of `LOSS_ALIASES` gets the name that it stands for.

    Raises:
        UsageError: there is none; suggests the nearest name.
    """
    known = name.replace("-", "_")
    known = LOSS_ALIASES.get(known, known)
    if known in LOSSES:
        return known
    hint = suggest(known, (*LOSSES, *LOSS_ALIASES), shown=repr)
    remedy = f"{hint}Known losses: {', '.join(LOSSES)}"
    raise UsageError("unknown loss", received=name, remedy=remedy)


def find_loss(name: str) -> Loss:
    """Return the loss of that name, see `loss_name`."""
    return LOSSES[loss_name(name)]


_PLUS = re.compile(r"(?<![0-9.][eE])\+")  # not the one of 1e+2
_FORM = "write a sum of losses, for instance apo_zero+0.1*sft"
# What no loss has to read, since it changes none; a configuration has these values always.
_NEUTRAL = {"f_divergence_type": "reverse_kl", "f_alpha_divergence_coef": 0.5}


@dataclass(frozen=True)
class LossMix:
    """Losses with their weights; one loss is a mix of one term of weight 1.

    Raises:
        UsageError: no term, an unknown or repeated loss, a weight that is not above 0.
    """

    terms: tuple[tuple[float, str], ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise UsageError("no loss given", remedy=_FORM)
        terms = tuple((weight, loss_name(name)) for weight, name in self.terms)
        object.__setattr__(self, "terms", terms)
        names = [name for _, name in terms]
        for weight, name in terms:
            if not 0 < weight < math.inf:
                raise UsageError(
                    f"the weight of {name} must be a number above 0",
                    received=weight,
                    remedy="leave the term out, or give it a weight such as 0.1",
                )
            if names.count(name) > 1:
                raise UsageError(
                    f"the loss {name} is named twice", remedy="add its weights up in one term"
                )

    def __str__(self) -> str:
        return "+".join(
            name if weight == 1 else f"{_number(weight)}*{name}" for weight, name in self.terms
        )

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The entries of `LOSSES`, term by term."""
        return tuple(LOSSES[name] for _, name in self.terms)

    @property
    def coupled(self) -> bool:
        """Whether a batch must be run in one part."""
        return any(loss.coupled for loss in self.losses)

    @property
    def needs_both(self) -> bool:
        """Whether a pair without one of its sides has no loss."""
        return any(loss.needs_both for loss in self.losses)

    @property
    def needs(self) -> tuple[str, ...]:
        """The sides without which a pair has no loss: both, chosen (sft alone), or none of them."""
        if self.needs_both:
            return ("chosen", "rejected")
        return () if any(loss.reads_reference for loss in self.losses) else ("chosen",)


def parse_loss(text: str) -> LossMix:
    """Return the mix that a text names: `apo_zero`, `apo_zero+0.1*sft`, `0.5*apo-zero + sft`.

    Raises:
        UsageError: it is no such sum; an unknown name gets a suggestion.
    """
    return LossMix(tuple(_term(term, text) for term in _PLUS.split(text)))


def _term(term: str, text: str) -> tuple[float, str]:
    weight, star, name = term.rpartition("*")
    if not (name.strip() and (weight.strip() or not star)):
        raise UsageError("the loss has an empty term", received=text, remedy=_FORM)
    try:
        return (float(weight) if star else 1.0), name.strip()
    except ValueError:
        raise UsageError("a weight is no number", received=weight.strip(), remedy=_FORM) from None


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def loss_options(
    loss: str | LossMix, beta: float, options: Mapping[str, Any]
) -> tuple[LossOptions, ...]:
    """Return the options of each term: those of `options` that it reads, and its defaults.

    `f_divergence_type` is defined for losses of the difference of log-ratios; `sft`, which
    reads no reference, may stand beside them.

    Raises:
        UsageError: no term reads an option, a term has no form for the f-divergence, or a value
            is out of range.
    """
    mix = loss if isinstance(loss, LossMix) else parse_loss(loss)
    given = {key: value for key, value in options.items() if (key, value) not in _NEUTRAL.items()}
    _check_divergence(mix, given)
    for key in given:
        if not any(key in term.options for term in mix.losses):
            reads = dict.fromkeys(("beta", *(key for term in mix.losses for key in term.options)))
            raise UsageError(
                f"{mix} does not read the option {key!r}", remedy=f"it reads {', '.join(reads)}"
            )
    return tuple(_options_of(term, beta, given) for term in mix.losses)


def _check_divergence(mix: LossMix, given: Mapping[str, Any]) -> None:
    if "f_divergence_type" in given:
        LossOptions(f_divergence_type=given["f_divergence_type"])  # a misspelt one is told first
        without = [
            name
            for (_, name), term in zip(mix.terms, mix.losses, strict=True)
            if term.reads_reference and "f_divergence_type" not in term.options
        ]
        if without:
            defined = [name for name, term in LOSSES.items() if "f_divergence_type" in term.options]
            raise UsageError(
                f"f_divergence_type is not defined for {', '.join(without)}",
                received=given["f_divergence_type"],
                remedy=f"use reverse_kl, or one of {', '.join(defined)}",
            )
    if "f_alpha_divergence_coef" in given and given.get("f_divergence_type") != "alpha_divergence":
        raise UsageError(
            "f_alpha_divergence_coef is read by f_divergence_type alpha_divergence alone",
            received=given["f_alpha_divergence_coef"],
        )


def _options_of(term: Loss, beta: float, given: Mapping[str, Any]) -> LossOptions:
    options = LossOptions(beta=beta, label_smoothing=term.default_label_smoothing)
    return replace(options, **{key: value for key, value in given.items() if key in term.options})


def fusable(mix: LossMix, options: Mapping[str, Any], *, whole: bool) -> bool:
    """Return whether `clairkit.kernels.fused_preference` computes this loss.

    It knows one loss, unweighted, under the reverse KL, and takes means over the batch it gets.

    Args:
        mix: the loss.
        options: those given to `preference_loss`.
        whole: the batch is all of a step, and each of its sides has a token that counts.
    """
    (weight, _), *others = mix.terms
    reverse = options.get("f_divergence_type", "reverse_kl") == "reverse_kl"
    return not others and weight == 1 and reverse and (whole or not mix.losses[0].step_means)
