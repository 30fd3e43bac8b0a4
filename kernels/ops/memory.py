"""Read what the system tells about memory."""

from __future__ import annotations

import functools
from contextlib import suppress
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")  # of a container: its own limit, where it has one


def proc_bytes(file: str, name: str) -> int | None:
    """Return the bytes that a line `name: N kB` of /proc/`file` tells; None without one."""
    with suppress(OSError):
        for line in Path("/proc", file).read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def free_memory(device: torch.device) -> int:
    """Return the bytes still available on a device; 0 where the system does not tell."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return _least(proc_bytes("meminfo", "MemAvailable"), _container_free())


@functools.cache
def total_memory() -> int:
    """Return the bytes of memory that this process may fill; 0 where the system does not tell."""
    return _least(proc_bytes("meminfo", "MemTotal"), _container_bytes("memory.max"))


def _least(*found: int | None) -> int:
    return max(min((value for value in found if value is not None), default=0), 0)


def _container_free() -> int | None:
    limit, used = _container_bytes("memory.max"), _container_bytes("memory.current")
    if limit is None or used is None:
        return None
    with suppress(OSError):
        for line in (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines():
            if line.startswith("inactive_file "):  # files that give way
                used -= int(line.split()[1])
    return limit - used


def _container_bytes(name: str) -> int | None:
    with suppress(OSError, ValueError):  # ValueError: "max", no limit
        return int((_CGROUP / name).read_text(encoding="ascii"))
    return None
