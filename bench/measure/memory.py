"""How much memory can still be had, and a limit, so that a greedy variant fails alone.

Imports torch alone.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")
_KEEP_FREE = 1 << 30  # for the rest of the machine


def available_bytes(device: torch.device) -> int | None:
    """Return the bytes that may be allocated on a device, None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    found = [value for value in (_system_available(), _cgroup_available()) if value is not None]
    return max(min(found) - _KEEP_FREE, 0) if found else None


def limit_memory(device: torch.device) -> None:
    """Let this process allocate no more than is available now.

    An allocation beyond fails with an error that says so; without the limit the system would kill
    processes. On a GPU the driver does that already.
    """
    if device.type == "cuda":
        return
    free, size = available_bytes(device), _own_size()
    if free is None or size is None:
        return
    import resource

    most = size + free
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _system_available() -> int | None:
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _cgroup_available() -> int | None:
    with suppress(OSError, ValueError):  # ValueError: "max", no limit
        limit = int((_CGROUP / "memory.max").read_text(encoding="ascii"))
        return limit - int((_CGROUP / "memory.current").read_text(encoding="ascii"))
    return None


def _own_size() -> int | None:
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        import resource

        return pages * resource.getpagesize()
    return None
