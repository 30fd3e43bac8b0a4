"""The losses, each a pure function of a batch of pairs: `(PairLogps, LossOptions) -> losses [B]`.

Notation: with log-ratios `w = log pi(chosen) - log pi_ref(chosen)` and `l` likewise for the
rejected side, the implicit rewards are `r_w = beta * w` and `r_l = beta * l`. Log-probs are sums
over response tokens, in nats. Where a published loss leaves a choice open, TRL's is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from clairkit.errors import UsageError


@dataclass(frozen=True)
class PairLogps:
    """Summed log-probs of a batch of B pairs, and the number of response tokens of each side."""

    chosen: Tensor  # [B] float32, under the policy
    rejected: Tensor  # [B]
    ref_chosen: Tensor  # [B], under the reference
    ref_rejected: Tensor  # [B]
    chosen_lengths: Tensor | None = None  # [B] tokens
    rejected_lengths: Tensor | None = None  # [B]

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

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise UsageError("beta must be positive", received=self.beta)
        if not 0 <= self.label_smoothing < 0.5:
            raise UsageError("label_smoothing must lie in [0, 0.5)", received=self.label_smoothing)
        if not self.discopop_tau > 0:
            raise UsageError("discopop_tau must be positive", received=self.discopop_tau)


def apo_zero(pairs: PairLogps, options: LossOptions) -> Tensor:
    """(1 - sigmoid(r_w)) + sigmoid(r_l): chosen up, rejected down (arXiv 2408.06266, eq. 7)."""
    beta = options.beta
    return torch.sigmoid(-beta * pairs.chosen_ratio) + torch.sigmoid(beta * pairs.rejected_ratio)


def apo_down(pairs: PairLogps, options: LossOptions) -> Tensor:
    """sigmoid(r_w) + (1 - sigmoid(r_w - r_l)): both down (arXiv 2408.06266, eq. 8)."""
    beta = options.beta
    return torch.sigmoid(beta * pairs.chosen_ratio) + torch.sigmoid(-beta * pairs.delta)


def apo_zero_unpaired(pairs: PairLogps, options: LossOptions) -> Tensor:
    """Half of `apo_zero`: the mean over both sides, each an example of its own (KTO's form)."""
    return apo_zero(pairs, options) / 2


def sigmoid(pairs: PairLogps, options: LossOptions) -> Tensor:
    """-log sigmoid(r_w - r_l): DPO (arXiv 2305.18290, eq. 7)."""
    return -logsigmoid(options.beta * pairs.delta)


def sigmoid_norm(pairs: PairLogps, options: LossOptions) -> Tensor:
    """DPO on log-ratios per token (arXiv 2411.15124, length-normalised DPO)."""
    return -logsigmoid(options.beta * _mean_delta(pairs))


def hinge(pairs: PairLogps, options: LossOptions) -> Tensor:
    """max(0, 1 - (r_w - r_l)) (SLiC, arXiv 2305.10425)."""
    return torch.relu(1 - options.beta * pairs.delta)


def ipo(pairs: PairLogps, options: LossOptions) -> Tensor:
    """(w/|chosen| - l/|rejected| - 1/(2 beta))^2 (arXiv 2310.12036, eq. 17, per token)."""
    return (_mean_delta(pairs) - 1 / (2 * options.beta)) ** 2


def robust(pairs: PairLogps, options: LossOptions) -> Tensor:
    """DPO made unbiased for labels flipped with probability eps (arXiv 2403.00409)."""
    logits, eps = options.beta * pairs.delta, options.label_smoothing
    return (-(1 - eps) * logsigmoid(logits) + eps * logsigmoid(-logits)) / (1 - 2 * eps)


def exo_pair(pairs: PairLogps, options: LossOptions) -> Tensor:
    """KL(policy's choice || smoothed label) (EXO-pref, arXiv 2402.00856, eq. 16)."""
    if options.label_smoothing == 0:
        raise UsageError(
            "exo_pair compares with a smoothed label",
            received=options.label_smoothing,
            remedy="set label_smoothing, for instance 1e-3",
        )
    logits = options.beta * pairs.delta
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
    logits = options.beta * pairs.delta
    mix = logits / options.discopop_tau
    # exp(-logits) alone overflows where its share of the mixture is 0
    return -logsigmoid(logits) * torch.sigmoid(-mix) + torch.exp(logsigmoid(mix) - logits)


def sft(pairs: PairLogps, options: LossOptions) -> Tensor:
    """-log pi(chosen) over the mean number of chosen tokens: its mean is the token mean."""
    lengths = _lengths(pairs.chosen_lengths)
    return -pairs.chosen / lengths.mean()


def _mean_delta(pairs: PairLogps) -> Tensor:
    return pairs.chosen_ratio / _lengths(pairs.chosen_lengths) - pairs.rejected_ratio / _lengths(
        pairs.rejected_lengths
    )


def _lengths(lengths: Tensor | None) -> Tensor:
    if lengths is None:
        raise UsageError(
            "this loss counts response tokens",
            remedy="pass chosen_lengths and rejected_lengths, each [B]",
        )
    return lengths.to(torch.float32).clamp(min=1)


def _smoothed(delta: Tensor, options: LossOptions) -> Tensor:
    logits, eps = options.beta * delta, options.label_smoothing
    return -(1 - eps) * logsigmoid(logits) - eps * logsigmoid(-logits)
