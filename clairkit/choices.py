"""Name the values that options of more than one room take, and read sizes; imports nothing heavy.

Types and checks of configurations, and the choices on the command line, are made from these.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from clairkit.errors import UsageError

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

_SIZE = re.compile(
    r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e[0-9]{1,2})?)\s*(?:([kmgt])(i?))?b?", re.IGNORECASE
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def size_in_bytes(text: str, name: str = "it") -> int:
    """Return a size as people write it in bytes; a unit without `i` is decimal, as in `GB`.

    Args:
        text: such as `24GB`, `24 GiB`, `24g` or `24000000000`.
        name: of the option, for the error.

    Raises:
        UsageError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{name} is not a size",
            received=text,
            remedy="write bytes, or a number with its unit: 24GB (10^9 each), 24GiB (2^30 each), "
            "24g (GB), 512 MB",
        )
    number, unit, binary = found.groups(default="")
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit.lower()])
