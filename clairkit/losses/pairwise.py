"""Compute losses: pure functions of a batch, `(PairLogps, LossOptions) -> losses [B]`.

Notation: with log-ratios `w = log pi(chosen) - log pi_ref(chosen)` and `l` likewise for the
rejected side, the implicit rewards are `r_w = beta * w` and `r_l = beta * l`. Log-probs are sums
over response tokens, in nats. Where a published loss leaves a choice open, TRL's is taken.

Losses of the difference `w - l` alone read it as a difference of scores (f-DPO): with the ratio
`u = pi(y) / pi_ref(y)`, `x = log u`, DPO's reward `beta * x` belongs to the reverse KL; under
another f-divergence it is `beta * f'(u)` (arXiv 2309.16240, theorem 1 and table 2). Names and
`f_alpha_divergence_coef` are TRL's: its alpha is 1 minus the paper's, so 1 is the reverse KL and
0 the forward KL.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from clairkit.errors import UsageError

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


@dataclass(frozen=True)
class PairLogps:
    """Summed log-probs of B pairs, and the number of response tokens of each side.

    A side of length 0 is absent: its sums are 0. Where the B pairs are a part of a step, the two
    means are those of the whole step; None: of these B pairs.
    """

    chosen: Tensor  # [B] float32, under the policy
    rejected: Tensor  # [B]
    ref_chosen: Tensor  # [B], under the reference
    ref_rejected: Tensor  # [B]
    chosen_lengths: Tensor | None = None  # [B] tokens
    rejected_lengths: Tensor | None = None  # [B]
    mean_chosen_length: Tensor | float | None = None  # chosen tokens / pairs
    mean_sides: Tensor | float | None = None  # sides that are there / pairs, 1 to 2

    @property
    def chosen_ratio(self) -> Tensor:
        """w [B]."""
        return self.chosen - self.ref_chosen

    @property
    def rejected_ratio(self) -> Tensor:
        """l [B]."""
        return self.rejected - self.ref_rejected

    @property
    def delta(self) -> Tensor:
        """w - l [B], DPO's quantity."""
        return self.chosen_ratio - self.rejected_ratio


@dataclass(frozen=True)
class LossOptions:
    """The numbers a loss may use; `preference_loss` refuses those that the loss does not read."""

    beta: float = 0.1
    label_smoothing: float = 0.0
    discopop_tau: float = 0.05
    f_divergence_type: FDivergence = "reverse_kl"
    f_alpha_divergence_coef: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.beta < math.inf:
            raise UsageError("beta must be positive", received=self.beta)
        if not 0 <= self.label_smoothing < 0.5:
            raise UsageError("label_smoothing must lie in [0, 0.5)", received=self.label_smoothing)
        if not self.discopop_tau > 0:
            raise UsageError("discopop_tau must be positive", received=self.discopop_tau)
        if self.f_divergence_type not in DIVERGENCES:
            raise UsageError(
                f"f_divergence_type must be one of {', '.join(DIVERGENCES)}",
                received=self.f_divergence_type,
            )
        if not math.isfinite(self.f_alpha_divergence_coef):
            raise UsageError(
                "f_alpha_divergence_coef must be finite", received=self.f_alpha_divergence_coef
            )


def apo_zero(pairs: PairLogps, options: LossOptions) -> Tensor:
    """(1 - sigmoid(r_w)) + sigmoid(r_l): chosen up, rejected down (arXiv 2408.06266, eq. 7)."""
    beta = options.beta
    return torch.sigmoid(-beta * pairs.chosen_ratio) + torch.sigmoid(beta * pairs.rejected_ratio)


def apo_down(pairs: PairLogps, options: LossOptions) -> Tensor:
    """sigmoid(r_w) + (1 - sigmoid(r_w - r_l)): both down (arXiv 2408.06266, eq. 8)."""
    beta = options.beta
    return torch.sigmoid(beta * pairs.chosen_ratio) + torch.sigmoid(-beta * pairs.delta)


def apo_zero_unpaired(pairs: PairLogps, options: LossOptions) -> Tensor:
    """1 - sigmoid(r_w), or sigmoid(r_l): each side an example of its own (KTO's form).

    Its mean is that over the sides that are there: half of `apo_zero` when both always are.
    """
    beta = options.beta
    chosen = torch.sigmoid(-beta * pairs.chosen_ratio)
    rejected = torch.sigmoid(beta * pairs.rejected_ratio)
    if pairs.chosen_lengths is None or pairs.rejected_lengths is None:
        return (chosen + rejected) / 2
    has_chosen, has_rejected = pairs.chosen_lengths > 0, pairs.rejected_lengths > 0
    sides = pairs.mean_sides
    if sides is None:
        sides = (has_chosen.sum() + has_rejected.sum()) / len(chosen)
    return (chosen * has_chosen + rejected * has_rejected) / _positive(sides)


def sigmoid(pairs: PairLogps, options: LossOptions) -> Tensor:
    """-log sigmoid(r_w - r_l): DPO (arXiv 2305.18290, eq. 7)."""
    return -logsigmoid(options.beta * _delta(pairs, options))


def sigmoid_norm(pairs: PairLogps, options: LossOptions) -> Tensor:
    """DPO on log-ratios per token (arXiv 2411.15124, length-normalised DPO)."""
    return -logsigmoid(options.beta * _mean_delta(pairs, options))


def hinge(pairs: PairLogps, options: LossOptions) -> Tensor:
    """max(0, 1 - (r_w - r_l)) (SLiC, arXiv 2305.10425)."""
    return torch.relu(1 - options.beta * _delta(pairs, options))


def ipo(pairs: PairLogps, options: LossOptions) -> Tensor:
    """(w/|chosen| - l/|rejected| - 1/(2 beta))^2 (arXiv 2310.12036, eq. 17, per token)."""
    return (_mean_delta(pairs, options) - 1 / (2 * options.beta)) ** 2


def robust(pairs: PairLogps, options: LossOptions) -> Tensor:
    """DPO made unbiased for labels flipped with probability eps (arXiv 2403.00409)."""
    logits, eps = options.beta * _delta(pairs, options), options.label_smoothing
    return (-(1 - eps) * logsigmoid(logits) + eps * logsigmoid(-logits)) / (1 - 2 * eps)


def exo_pair(pairs: PairLogps, options: LossOptions) -> Tensor:
    """KL(policy's choice || smoothed label) (EXO-pref, arXiv 2402.00856, eq. 16).

    Raises:
        UsageError: `label_smoothing` is 0.
    """
    if options.label_smoothing == 0:
        raise UsageError(
            "exo_pair compares with a smoothed label",
            received=options.label_smoothing,
            remedy="set label_smoothing, for instance 1e-3",
        )
    logits = options.beta * _delta(pairs, options)
    log_label = torch.tensor(options.label_smoothing, dtype=logits.dtype, device=logits.device)
    log_win, log_lose = logsigmoid(logits), logsigmoid(-logits)
    return log_win.exp() * (log_win - torch.log1p(-log_label)) + log_lose.exp() * (
        log_lose - log_label.log()
    )


def nca_pair(pairs: PairLogps, options: LossOptions) -> Tensor:
    """-log s(r_w) - log s(-r_w)/2 - log s(-r_l)/2 (arXiv 2402.05369)."""
    chosen, rejected = options.beta * pairs.chosen_ratio, options.beta * pairs.rejected_ratio
    return -logsigmoid(chosen) - logsigmoid(-chosen) / 2 - logsigmoid(-rejected) / 2


def bco_pair(pairs: PairLogps, options: LossOptions) -> Tensor:
    """-log s(r_w) - log s(-r_l), without a moving baseline (arXiv 2404.04656)."""
    chosen, rejected = options.beta * pairs.chosen_ratio, options.beta * pairs.rejected_ratio
    return -logsigmoid(chosen) - logsigmoid(-rejected)


def sppo_hard(pairs: PairLogps, options: LossOptions) -> Tensor:
    """(w - 1/(2 beta))^2 + (l + 1/(2 beta))^2 (arXiv 2405.00675, eq. 4.7, P = 1 and 0)."""
    goal = 0.5 / options.beta
    return (pairs.chosen_ratio - goal) ** 2 + (pairs.rejected_ratio + goal) ** 2


def aot(pairs: PairLogps, options: LossOptions) -> Tensor:
    """DPO between the sorted margins of policy and reference (arXiv 2406.05882, paired)."""
    policy = (pairs.chosen - pairs.rejected).sort().values
    reference = (pairs.ref_chosen - pairs.ref_rejected).sort().values
    return _smoothed(policy - reference, options)


def aot_unpaired(pairs: PairLogps, options: LossOptions) -> Tensor:
    """DPO between the sorted log-ratios of both sides (arXiv 2406.05882, unpaired)."""
    delta = pairs.chosen_ratio.sort().values - pairs.rejected_ratio.sort().values
    return _smoothed(delta, options)


def discopop(pairs: PairLogps, options: LossOptions) -> Tensor:
    """Logistic and exponential loss mixed by sigmoid(margin / tau) (arXiv 2406.08414, eq. 5)."""
    logits = options.beta * _delta(pairs, options)
    mix = logits / options.discopop_tau
    # exp(-logits) alone overflows where its share of the mixture is 0
    return -logsigmoid(logits) * torch.sigmoid(-mix) + torch.exp(logsigmoid(mix) - logits)


def sft(pairs: PairLogps, options: LossOptions) -> Tensor:
    """-log pi(chosen) over the mean number of chosen tokens: its mean is the token mean."""
    mean_length = pairs.mean_chosen_length
    if mean_length is None:
        mean_length = _given(pairs.chosen_lengths).to(pairs.chosen.dtype).mean()
    return -pairs.chosen / _positive(mean_length)


def _delta(pairs: PairLogps, options: LossOptions) -> Tensor:
    """Return the difference of scores [B]; w - l for the reverse KL."""
    chosen, rejected = _scores(pairs, options)
    return chosen - rejected


def _mean_delta(pairs: PairLogps, options: LossOptions) -> Tensor:
    """Return the difference of scores per token [B]; a score is one of the whole response."""
    chosen, rejected = _scores(pairs, options)
    chosen = chosen / _at_least_one(_given(pairs.chosen_lengths))
    return chosen - rejected / _at_least_one(_given(pairs.rejected_lengths))


def _scores(pairs: PairLogps, options: LossOptions) -> tuple[Tensor, Tensor]:
    score, coefficient = DIVERGENCES[options.f_divergence_type], options.f_alpha_divergence_coef
    return score(pairs.chosen_ratio, coefficient), score(pairs.rejected_ratio, coefficient)


def _given(lengths: Tensor | None) -> Tensor:
    if lengths is None:
        raise UsageError(
            "this loss counts response tokens",
            remedy="pass chosen_lengths and rejected_lengths, each [B]",
        )
    return lengths


def _at_least_one(lengths: Tensor) -> Tensor:
    return lengths.to(torch.float32).clamp(min=1)


def _positive(mean: Tensor | float) -> Tensor | float:
    """What is divided by the mean of nothing is 0: a step may have no chosen side at all."""
    tiny = torch.finfo(torch.float32).tiny
    return mean.clamp(min=tiny) if isinstance(mean, Tensor) else max(mean, tiny)


def _smoothed(delta: Tensor, options: LossOptions) -> Tensor:
    logits, eps = options.beta * delta, options.label_smoothing
    return -(1 - eps) * logsigmoid(logits) - eps * logsigmoid(-logits)
