"""Memory that a pass on a CPU leaves to the next one.

Given back to the system, it would be faulted in again page by page. On a GPU torch's own allocator
keeps what is freed.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Spare(Generic[T]):
    """Holds one thing at most; several threads may take and leave."""

    def __init__(self) -> None:
        self._held: list[T] = []

    def take(self) -> T | None:
        """Return what is held, which is the caller's from then on."""
        try:
            return self._held.pop()
        except IndexError:
            return None

    def leave(self, thing: T) -> None:
        """Hold it, unless something is held already."""
        if not self._held:
            self._held.append(thing)


def may_be_left(tensor: Tensor) -> bool:
    """Tell whether memory made like `tensor` may serve another pass.

    Not where a compiler traces, in inference mode, whose tensors no other may write, nor under
    deterministic algorithms, where torch fills memory that it hands out.
    """
    return tensor.device.type == "cpu" and not (
        torch.compiler.is_compiling()
        or torch.is_inference_mode_enabled()
        or torch.are_deterministic_algorithms_enabled()
    )
