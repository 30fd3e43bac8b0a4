"""What a head computes beside the matrix product, and how much memory a pass may keep."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.kernels.memory import free_memory

IGNORED = -100  # the target of a token that has no loss

# Room for the products of a small batch; a large one gains nothing from so little.
DEFAULT_BUDGET = 32 << 20


@dataclass(frozen=True)
class HeadOptions:
    """`logits = logit_scale * cap(hidden @ weight.T + bias)`, with `cap(x) = c * tanh(x / c)`.

    `memory_budget` is the number of bytes that a full (head-training) pass may keep from forward
    to backward to save products. `statistics` asks for a token's entropy, argmax hit and mean
    logit beside its log-prob.
    """

    softcap: float | None = None
    logit_scale: float = 1.0
    memory_budget: int = 0
    statistics: bool = False

    def __post_init__(self) -> None:
        if self.softcap is not None and not self.softcap > 0:
            raise ValueError(f"softcap must be positive or None: received {self.softcap!r}")
        if not 0 < abs(self.logit_scale) < float("inf"):
            raise ValueError(f"logit_scale must be finite, not 0: received {self.logit_scale!r}")
        if self.memory_budget < 0:
            raise ValueError(f"memory_budget is in bytes: received {self.memory_budget!r}")


def budget_bytes(memory_budget: int | str | None, device: torch.device) -> int:
    """Return a memory budget in bytes: None is 32 MiB, "auto" a quarter of the free memory."""
    if memory_budget is None:
        return DEFAULT_BUDGET
    if memory_budget == "auto":
        return free_memory(device) // 4
    if isinstance(memory_budget, int):
        return memory_budget
    raise ValueError(f'memory_budget must be bytes, "auto" or None: received {memory_budget!r}')


def all_counted(targets: Tensor, vocabulary: int) -> bool:
    """Return whether every target lies in the vocabulary: none is ignored, none wrong."""
    if not len(targets):
        return True
    smallest, largest = torch.stack(torch.aminmax(targets)).tolist()  # a GPU is waited for once
    return bool(smallest >= 0 and largest < vocabulary)


def check_targets(targets: Tensor, vocabulary: int) -> None:
    """Raise ValueError unless all targets, ignored ones apart, lie in the vocabulary."""
    bad = targets[(targets != IGNORED) & ((targets < 0) | (targets >= vocabulary))]
    if len(bad):
        raise ValueError(
            f"targets must lie in [0, {vocabulary}) or be -100: received {int(bad[0])}"
        )
