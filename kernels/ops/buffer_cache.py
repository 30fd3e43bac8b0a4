"""Reuse of a CPU's memory from one pass to the next.

Given back to the system, memory would be faulted in again page by page. On a GPU torch's own
allocator keeps what is freed.

Nothing is handed on that anyone can still reach. What a graph keeps for its backward pass is a
*lease*: its memory comes back when the last tensor that shares it has died, in whatever order
graphs, hooks and checkpoints let go of it. Scratch is seen by nobody but the pass that uses it.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

# Memory of a larger lease is given back to the system.
MOST_BYTES = 1 << 30


class Slot(Generic[T]):
    """Holds one thing at most; several threads may get and put."""

    def __init__(self) -> None:
        self._held: list[T] = []

    def get(self) -> T | None:
        """Return what is held, which is the caller's from then on."""
        try:
            return self._held.pop()
        except IndexError:
            return None

    def put(self, thing: T) -> None:
        """Hold it, unless something is held already."""
        if not self._held:
            self._held.append(thing)


_MEMORY: Slot[Tensor] = Slot()


def lease(like: Tensor, size: int) -> Tensor:
    """Return uninitialised memory of `size` numbers of like's dtype on its device, in reuse."""
    count = size * like.element_size()
    if not reusable(like) or not 0 < count <= MOST_BYTES:
        return like.new_empty(size)
    memory = _MEMORY.get()
    if memory is None or memory.numel() < count:
        memory = torch.empty(count, dtype=torch.uint8)
    # The tensor's storage owns the view, and dies with the last tensor that shares it.
    view = memoryview((ctypes.c_byte * count).from_address(memory.data_ptr()))
    weakref.finalize(view, _MEMORY.put, memory).atexit = False
    return torch.frombuffer(view, dtype=like.dtype)


def reusable(tensor: Tensor) -> bool:
    """Tell whether memory made like `tensor` may serve another pass.

    Not in inference mode, whose tensors no other may write, nor under deterministic algorithms,
    where torch fills memory that it hands out.
    """
    return tensor.device.type == "cpu" and not (
        torch.is_inference_mode_enabled() or torch.are_deterministic_algorithms_enabled()
    )
