"""Name the values that options of more than one room take; nothing heavy is imported.

Types and checks of configurations, and the choices on the command line, are made from these.
"""

from __future__ import annotations

from typing import Literal, get_args

Kernel = Literal["auto", "triton", "native", "torch", "eager"]
"""How log-probs are computed: `auto`, or one of `clairkit.kernels.BACKENDS`."""
KERNELS: tuple[Kernel, ...] = get_args(Kernel)

LossMask = Literal["all", "edits", "weighted"]
"""Response tokens that count in the loss."""
LOSS_MASKS: tuple[LossMask, ...] = get_args(LossMask)

Truncation = Literal["error", "drop", "keep_start", "edit_window"]
"""What a pair that is too long gets."""
TRUNCATIONS: tuple[Truncation, ...] = get_args(Truncation)

Thoughts = Literal["drop", "keep"]
"""What thoughts before an answer get."""

SpecialTokens = Literal["tokens", "text"]
"""How special tokens spelt in an answer are encoded."""
SPECIAL_TOKENS: tuple[SpecialTokens, ...] = get_args(SpecialTokens)

Dtype = Literal["float32", "bfloat16", "float16", "auto"]
"""What weights are loaded in."""

LOSS_NAMES = (
    "apo_zero",
    "apo_down",
    "sigmoid",
    "hinge",
    "ipo",
    "robust",
    "exo_pair",
    "nca_pair",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "discopop",
    "sft",
    "sigmoid_norm",
    "apo_zero_unpaired",
)
"""The names of `clairkit.losses.LOSSES`."""
AUTO_LOSS = "auto"
"""Lets verdicts on the pairs choose between apo_zero and apo_down."""
LOSS_ALIASES = {"dpo": "sigmoid", "bco": "bco_pair"}
"""What papers call a loss, with the name that it has here and in TRL."""
