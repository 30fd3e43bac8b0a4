"""Compute the metrics of a step, under TRL's names and a few more.

Every metric is a sum over something countable (pairs, sides, tokens) and its count. Both stay on
the device and are added up until a log, so that a value depends neither on how a batch was cut into
parts nor on accumulation, and nothing waits for the device in between.

Legend: B pairs, 2B sequences (chosen 0..B-1, then rejected 0..B-1), S response tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.losses import PairLogps, PreferenceLoss

# A side is saturated when the slope of its sigmoid, hence its gradient under APO, is below a tenth
# of the slope at 0: |reward| > 3.637.
_SATURATED_SIDE = 3.637
# Likewise a pair under DPO, whose gradient goes with sigmoid(-margin): margin > ln 19.
_SATURATED_MARGIN = 2.944
# A log-ratio beyond which `kl/rejected` counts no further: a sample of the reference that the
# policy finds e^10 times likelier is next to impossible, one from elsewhere would swamp the mean.
_HIGHEST_LOG_RATIO = 10.0

_QUADRANTS = (
    "quadrants/chosen_up_rejected_down",
    "quadrants/chosen_up_rejected_up",
    "quadrants/chosen_down_rejected_down",
    "quadrants/chosen_down_rejected_up",
)


@dataclass(frozen=True)
class TokenView:
    """The response tokens of a part, sequence after sequence, detached."""

    logps: Tensor  # [S] float32, under the policy
    ref_logps: Tensor  # [S] float32, under the reference
    edited: Tensor  # [S] bool: lies in an edit span; False: both sides share it
    lengths: Sequence[int]  # 2B, on the host; their sum is S; 0: the pair lacks this side


@dataclass(frozen=True)
class MetricSums:
    """Sums of K metrics and what to divide them by."""

    names: tuple[str, ...]  # K
    sums: Tensor  # [2, K] float64 (float32 on devices without it): totals, then counts

    def times(self, weight: float) -> MetricSums:
        """Return them for pairs that count `weight` times."""
        return self if weight == 1 else MetricSums(self.names, self.sums * weight)


@dataclass(frozen=True)
class _Sides:
    """Which of B pairs have a chosen side, a rejected side, both: each [B] bool."""

    chosen: Tensor
    rejected: Tensor

    @property
    def both(self) -> Tensor:
        return self.chosen & self.rejected


@torch.no_grad()
def step_metrics(pairs: PairLogps, result: PreferenceLoss, tokens: TokenView) -> MetricSums:
    """Return the metrics of a part of B pairs, as sums and counts.

    Means over pairs; those of one side leave out pairs without it, those of both need both:
      `rewards/*`, `logps/*` as in TRL. `quadrants/*`: shares of pairs by where each side's
      likelihood went against the reference; a side that stayed exactly where it was counts half
      up, half down. `below_reference/*`: shares of sides less likely than under the reference.
      `saturation/chosen`, `/rejected`: shares of sides with |reward| > 3.637, `/margin`: of pairs
      with margin > 2.944; there the gradient of APO's, and of DPO's, sigmoid is below a tenth of
      that at step 0. `lengths/*`: response tokens; `_edited` and `_shared`: those inside and
      outside of edit spans. `logratio/*_end`: log-ratio of a side's last token, the end of turn.
      `loss/*`: the terms of a sum of losses, each without its weight.

    Means over tokens:
      `logratio/*`: log pi(token) - log pi_ref(token), of a side; with `_edited` or `_shared` of
      its tokens inside or outside of edit spans, in pairs that have both sides.
      `kl/rejected`: exp(d) - 1 - d over rejected tokens, d the log-ratio (at most 10). It is never
      negative. It estimates KL(reference || policy), in nats a token along the reference's answers,
      without bias where the rejected side was sampled from the reference as it is: CLAIR and
      judge_on_policy pairs at temperature 1 without top-p or top-k. For other sides it is a
      distance, no KL. Training pushes these very answers down; those of held-out pairs say
      more about the rest.
    """
    dtype = torch.float32 if tokens.logps.device.type == "mps" else torch.float64
    lengths = _on_device(tokens.lengths, tokens.logps.device)  # [2B]
    count = len(tokens.lengths) // 2
    present = lengths > 0
    sides = _Sides(present[:count], present[count:])
    ratio = tokens.logps.to(dtype) - tokens.ref_logps.to(dtype)
    values = {
        **_reward_metrics(result, sides),
        "logps/chosen": (pairs.chosen, sides.chosen),
        "logps/rejected": (pairs.rejected, sides.rejected),
        "lengths/chosen": (lengths[:count], sides.chosen),
        "lengths/rejected": (lengths[count:], sides.rejected),
        **_end_metrics(ratio, lengths, sides),
        **_term_metrics(result),
    }
    found = (
        _masked_sums({k: (v.to(dtype), mask) for k, (v, mask) in values.items()}),
        _masked_sums(_token_metrics(ratio, tokens, lengths, sides)),
        _span_lengths(tokens, lengths, sides, dtype),
    )
    names = tuple(name for part in found for name in part.names)
    return MetricSums(names, torch.cat([part.sums for part in found], 1))


def _reward_metrics(result: PreferenceLoss, sides: _Sides) -> dict[str, tuple[Tensor, Tensor]]:
    chosen, rejected = result.chosen_rewards, result.rejected_rewards
    margin = chosen - rejected
    up, down = (chosen.sign() + 1) / 2, (1 - rejected.sign()) / 2
    shares = (up * down, up * (1 - down), (1 - up) * down, (1 - up) * (1 - down))
    return {
        "rewards/chosen": (chosen, sides.chosen),
        "rewards/rejected": (rejected, sides.rejected),
        "rewards/accuracies": (chosen > rejected, sides.both),
        "rewards/margins": (margin, sides.both),
        **{name: (share, sides.both) for name, share in zip(_QUADRANTS, shares, strict=True)},
        "below_reference/chosen": (chosen < 0, sides.chosen),
        "below_reference/rejected": (rejected < 0, sides.rejected),
        "saturation/chosen": (chosen.abs() > _SATURATED_SIDE, sides.chosen),
        "saturation/rejected": (rejected.abs() > _SATURATED_SIDE, sides.rejected),
        "saturation/margin": (margin > _SATURATED_MARGIN, sides.both),
    }


def _term_metrics(result: PreferenceLoss) -> dict[str, tuple[Tensor, Tensor]]:
    """The terms of a sum of losses; a term is known by its mean over the part's pairs."""
    if len(result.terms) < 2:
        return {}
    every = torch.ones_like(result.losses, dtype=torch.bool)
    return {f"loss/{name}": (mean.expand_as(every), every) for name, mean in result.terms.items()}


def _end_metrics(ratio: Tensor, lengths: Tensor, sides: _Sides) -> dict[str, tuple[Tensor, Tensor]]:
    """The log-ratio of each sequence's last token."""
    if not len(ratio):
        return {}
    # an absent side takes any token; its mask leaves it out
    ends = ratio[(lengths.cumsum(0) - 1).clamp(min=0)]
    chosen, rejected = ends.chunk(2)
    return {
        "logratio/chosen_end": (chosen, sides.chosen),
        "logratio/rejected_end": (rejected, sides.rejected),
    }


def _token_metrics(
    ratio: Tensor, tokens: TokenView, lengths: Tensor, sides: _Sides
) -> dict[str, tuple[Tensor, Tensor]]:
    count = len(tokens.lengths) // 2
    on_rejected = _spread(torch.arange(2 * count, device=ratio.device) >= count, lengths, ratio)
    paired = _spread(sides.both.repeat(2), lengths, ratio)
    bounded = ratio.clamp(max=_HIGHEST_LOG_RATIO)
    metrics = {"kl/rejected": (bounded.expm1() - bounded, on_rejected)}
    for name, side in (("chosen", ~on_rejected), ("rejected", on_rejected)):
        metrics[f"logratio/{name}"] = ratio, side
        metrics[f"logratio/{name}_edited"] = ratio, side & paired & tokens.edited
        metrics[f"logratio/{name}_shared"] = ratio, side & paired & ~tokens.edited
    return metrics


def _span_lengths(
    tokens: TokenView, lengths: Tensor, sides: _Sides, dtype: torch.dtype
) -> MetricSums:
    """Tokens inside and outside of edit spans, a mean over pairs with both sides."""
    both = sides.both
    paired = _spread(both.repeat(2), lengths, tokens.edited)
    first = sum(tokens.lengths[: len(both)])
    spans = {"edited": paired & tokens.edited, "shared": paired & ~tokens.edited}
    totals = {
        f"lengths/{side}_{span}": mask[part].sum()
        for side, part in (("chosen", slice(first)), ("rejected", slice(first, None)))
        for span, mask in spans.items()
    }
    counts = both.sum().expand(len(totals))
    return MetricSums(
        tuple(totals), torch.stack([torch.stack(list(totals.values())), counts]).to(dtype)
    )


def _masked_sums(values: Mapping[str, tuple[Tensor, Tensor]]) -> MetricSums:
    """Sum K vectors where their masks are true; what a mask leaves out may be anything."""
    numbers = torch.stack([vector for vector, _ in values.values()])
    masks = torch.stack([mask for _, mask in values.values()])
    totals = torch.where(masks, numbers, 0).sum(1)
    return MetricSums(tuple(values), torch.stack([totals, masks.sum(1).to(totals.dtype)]))


def _spread(per_sequence: Tensor, lengths: Tensor, like: Tensor) -> Tensor:
    """Give each token [S] its sequence's value; the known size spares a look at the device."""
    return per_sequence.repeat_interleave(lengths, output_size=len(like))


def _on_device(lengths: Sequence[int], device: torch.device) -> Tensor:
    """Copy without waiting for the device."""
    host = torch.tensor(lengths, pin_memory=device.type == "cuda")
    return host.to(device, non_blocking=True)


class MetricMeans:
    """Means since the last log, kept as sums on the device until then."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}

    def add(self, found: MetricSums) -> None:
        before = self._sums.get(found.names)
        self._sums[found.names] = found.sums if before is None else before + found.sums

    def take(self, reduce: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """Return the means and start anew; a metric for which nothing counted is left out.

        Args:
            reduce: sums a tensor over processes; each must have added the same metrics.
        """
        means: dict[str, float] = {}
        for names, sums in self._sums.items():
            totals, counts = (sums if reduce is None else reduce(sums)).tolist()
            means |= {
                name: total / count
                for name, total, count in zip(names, totals, counts, strict=True)
                if count
            }
        self._sums = {}
        return means
