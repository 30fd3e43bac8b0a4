"""f-divergences between policy and reference: what takes the place of the log-ratio (f-DPO).

With the ratio `u = pi(y) / pi_ref(y)` and `x = log u`, DPO's reward `beta * x` belongs to the
reverse KL divergence. Under another f-divergence it is `beta * f'(u)` (arXiv 2309.16240, theorem
1 and table 2), called the score here. Names and `f_alpha_divergence_coef` are TRL's: its
alpha `a` is 1 minus the paper's, so 1 is the reverse KL and 0 the forward KL.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

FDivergence = Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"]

# The largest score is e^40 = 2.4e17: its square, which ipo takes, is finite in float32.
_LARGEST_LOG = 40.0


def reverse_kl(log_ratio: Tensor, _coefficient: float) -> Tensor:
    """f(u) = u log u; score x (up to a constant, which cancels in a difference)."""
    return log_ratio


def forward_kl(log_ratio: Tensor, _coefficient: float) -> Tensor:
    """f(u) = -log u; score 1 - 1/u = 1 - exp(-x) (up to a constant)."""
    return alpha_divergence(log_ratio, 0.0)


def js_divergence(log_ratio: Tensor, _coefficient: float) -> Tensor:
    """f(u) = u log u - (u + 1) log((u + 1) / 2); score log(2u / (u + 1)) = log 2 + log s(x)."""
    return math.log(2) + logsigmoid(log_ratio)


def alpha_divergence(log_ratio: Tensor, coefficient: float) -> Tensor:
    """Score (u^(a-1) - 1) / (a - 1) = expm1((a-1) x) / (a-1); x itself for a = 1.

    No score is larger than e^40 in size: beyond that it stays as it is, and gives no gradient.
    """
    power = coefficient - 1
    if power == 0:
        return log_ratio
    largest = _LARGEST_LOG + math.log(min(1.0, abs(power)))
    return torch.expm1((power * log_ratio).clamp(max=largest)) / power


DIVERGENCES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "reverse_kl": reverse_kl,
    "forward_kl": forward_kl,
    "js_divergence": js_divergence,
    "alpha_divergence": alpha_divergence,
}
