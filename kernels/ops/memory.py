"""What the system tells about memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch


def proc_bytes(file: str, name: str) -> int | None:
    """Return the bytes that a line `name: N kB` of /proc/`file` tells; None without one."""
    with suppress(OSError):
        for line in Path("/proc", file).read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def free_memory(device: torch.device) -> int:
    """Return the bytes that could still be had on a device; 0 where the system does not tell."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return proc_bytes("meminfo", "MemAvailable") or 0
