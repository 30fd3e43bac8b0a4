"""Tell how much memory is left, and limit a process to it, so that a greedy variant fails alone.

Imports torch alone.
"""

from __future__ import annotations

import torch

from clairkit.kernels.memory import free_memory, proc_bytes

_KEEP_FREE = 1 << 30  # for the rest of the machine


def available_bytes(device: torch.device) -> int | None:
    """Return the bytes that may be allocated on a device, None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = free_memory(device)
    return max(free - _KEEP_FREE, 0) if free else None


def limit_memory(device: torch.device) -> None:
    """Let this process allocate no more than is available now.

    An allocation beyond fails with an error that says so; without the limit the system would kill
    processes. On a GPU the driver does that already.
    """
    if device.type == "cuda":
        return
    free, size = available_bytes(device), proc_bytes("self/status", "VmSize")
    if free is None or size is None:
        return
    import resource

    most = size + free
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
