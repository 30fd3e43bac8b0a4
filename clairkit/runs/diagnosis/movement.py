"""Measure whether the model moved, on the final weights, so that one step is enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

# sigmoid(0.05) = 0.51: the odds of preferring the chosen side changed by one point.
STILL_REWARD = 0.05
# A token's probability changed by 2 %.
STILL_NATS = 0.02
# A learning rate is suggested that moves the model ten times as far as these limits: a reward of
# 0.5 or 0.2 nats a token. Further than a thousand times today's rate nothing can be foretold.
_AIM = 10.0
FURTHEST = 1000.0

_REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins")
_RATIOS = ("logratio/chosen", "logratio/rejected")
METRICS = (*_REWARDS, *_RATIOS, "rewards/accuracies", "loss")


@dataclass(frozen=True)
class Movement:
    """How far training moved the model, measured on some training pairs once it was over."""

    pairs: int
    end: Mapping[str, float]
    start: Mapping[str, float]
    """Empty where the reference is the model before training: rewards and log-ratios were 0."""
    dtype: str = "float32"
    """Of the weights that were trained."""
    changed: float | None = None
    """Share of those weights that differ from what they were; None where it can't be told."""
    lost: float | None = None
    """Share of their updates that rounding undid."""

    def change(self, name: str) -> float | None:
        """Return how far a reward or a log-ratio went; None where the pairs don't have it."""
        end = self.end.get(name)
        return None if end is None else end - self.start.get(name, 0.0)

    @property
    def changes(self) -> dict[str, float]:
        """The changes of rewards and log-ratios, of those that there are."""
        found = {name: self.change(name) for name in (*_REWARDS, *_RATIOS)}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def is_still(self) -> bool:
        """Return whether the model is as good as where it was."""
        return distance(self.changes) < 1


def distance(changes: Mapping[str, float]) -> float:
    """Return how far a model moved, in multiples of what is as good as nothing.

    Args:
        changes: of rewards and of log-ratios a token, by their metrics' names.
    """
    limits = {**dict.fromkeys(_REWARDS, STILL_REWARD), **dict.fromkeys(_RATIOS, STILL_NATS)}
    return max(
        (abs(changes[name]) / limits[name] for name in limits if name in changes), default=0.0
    )


def suggested_rate(learning_rate: float, moved: float) -> float | None:
    """Return a learning rate that would have moved the model clearly, to one digit, rounded down.

    While a model is near to where it was, it moves in proportion to the learning rate: all steps'
    updates do, under Adam as under plain descent, and so do log-probs.

    Args:
        learning_rate: of the run.
        moved: its `distance`.
    """
    if not (0 < learning_rate < math.inf) or moved >= 1:
        return None
    rate = learning_rate * min(_AIM / moved if moved > 0 else FURTHEST, FURTHEST)
    unit = 10.0 ** math.floor(math.log10(rate) + 1e-9)
    return float(f"{math.floor(rate / unit + 1e-9) * unit:.0e}")
