"""What a head computes beside the matrix product, and how much memory a pass may keep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadOptions:
    """`logits = logit_scale * cap(hidden @ weight.T + bias)`, with `cap(x) = c * tanh(x / c)`.

    `memory_budget` is the number of bytes that a full (head-training) pass may keep from forward
    to backward to save a product; None keeps nothing.
    """

    softcap: float | None = None
    logit_scale: float = 1.0
    memory_budget: int | None = None

    def __post_init__(self) -> None:
        if self.softcap is not None and not self.softcap > 0:
            raise ValueError(f"softcap must be positive or None: received {self.softcap!r}")
        if not 0 < abs(self.logit_scale) < float("inf"):
            raise ValueError(f"logit_scale must be finite, not 0: received {self.logit_scale!r}")
        if self.memory_budget is not None and self.memory_budget < 0:
            raise ValueError(f"memory_budget is in bytes: received {self.memory_budget!r}")
