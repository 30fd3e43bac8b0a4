"""What a step says about itself, under TRL's metric names and a few more."""

from __future__ import annotations

import torch
from torch import Tensor

from clairkit.losses import PairLogps, PreferenceLoss

# A side is saturated when its sigmoid's slope, hence its gradient under APO, is below a tenth of
# the slope at 0: |reward| > 3.637.
_SATURATED = 3.637


@torch.no_grad()
def step_metrics(pairs: PairLogps, result: PreferenceLoss) -> dict[str, Tensor]:
    """Return the metrics of B pairs, each a mean [].

    `rewards/*` and `logps/*` as in TRL; `quadrants/*` are the shares of pairs by where each side's
    likelihood went against the reference; `saturation/*` the shares of sides that hardly learn.
    """
    chosen, rejected = result.chosen_rewards, result.rejected_rewards
    up, down = chosen > 0, rejected < 0
    return {
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/accuracies": (chosen > rejected).float().mean(),
        "rewards/margins": (chosen - rejected).mean(),
        "logps/chosen": pairs.chosen.mean(),
        "logps/rejected": pairs.rejected.mean(),
        "quadrants/chosen_up_rejected_down": (up & down).float().mean(),
        "quadrants/chosen_up_rejected_up": (up & ~down).float().mean(),
        "quadrants/chosen_down_rejected_down": (~up & down).float().mean(),
        "quadrants/chosen_down_rejected_up": (~up & ~down).float().mean(),
        "saturation/chosen": (chosen.abs() > _SATURATED).float().mean(),
        "saturation/rejected": (rejected.abs() > _SATURATED).float().mean(),
    }


class MetricMeans:
    """Means over the pairs seen since the last log, kept on the device until then."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, metrics: dict[str, Tensor], count: int) -> None:
        """Add the means of `count` pairs."""
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value * count
        self._count += count

    def take(self) -> dict[str, float]:
        """Return the means and start anew; empty when nothing was added."""
        means = {name: float(total) / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means
