"""Hold what a head computes beside the matrix product, and how much memory a pass may keep."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clairkit.kernels.buffer_cache import MOST_BYTES
from clairkit.kernels.memory import free_memory, total_memory

IGNORED = -100  # the target of a token that has no loss

# Room for the products of a small batch; a large one gains nothing from so little.
LEAST_BUDGET = 32 << 20
# On a CPU: a sixteenth of its memory, as long as four times as much is free. Not a share of what
# is free: from call to call other products would be kept, and gradients rounded otherwise.
_PARTS, _FREE = 16, 4


# Normal numbers of float32. A softcap below them would have no reciprocal, or be 0: none.
_LEAST, _MOST = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max


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
        if self.softcap is not None and not _LEAST <= self.softcap <= _MOST:
            raise ValueError(
                "softcap must be None or a positive number of float32's normal range: "
                f"received {self.softcap!r}"
            )
        if not _LEAST <= abs(self.logit_scale) <= _MOST:
            raise ValueError(
                "logit_scale must be finite, not 0, and within float32's normal range: "
                f"received {self.logit_scale!r}"
            )
        if self.memory_budget < 0:
            raise ValueError(f"memory_budget is in bytes: received {self.memory_budget!r}")


def budget_bytes(
    memory_budget: int | str | None, device: torch.device, *, trained: bool = True
) -> int:
    """Return a memory budget in bytes.

    Args:
        memory_budget: bytes; "auto": a quarter of the free memory; None: on a CPU a sixteenth of
            its memory, 1 GiB at most, where four times as much is free, and 32 MiB elsewhere.
        device: of the tensors.
        trained: whether the head is; else nothing will be kept.

    Raises:
        ValueError: it is something else.
    """
    if memory_budget is None:
        return _default_budget(device) if trained else LEAST_BUDGET
    if memory_budget == "auto":
        return free_memory(device) // 4
    if isinstance(memory_budget, int) and not isinstance(memory_budget, bool):
        return memory_budget
    raise ValueError(f'memory_budget must be bytes, "auto" or None: received {memory_budget!r}')


def _default_budget(device: torch.device) -> int:
    if device.type != "cpu" or torch.compiler.is_compiling():  # a compiler keeps nothing
        return LEAST_BUDGET
    # More than is reused would be faulted in again by each pass, which costs what is saved.
    budget = min(total_memory() // _PARTS, MOST_BYTES)
    if free_memory(device) < _FREE * budget:
        return LEAST_BUDGET
    return max(budget, LEAST_BUDGET)
