"""Memory that this process has and had."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path


def resident_bytes() -> int:
    """Return the resident memory; its peak where the system tells no more."""
    return _status_bytes("VmRSS") or _lifetime_peak()


def peak_memory_mb() -> float:
    """Return the peak in MB (10^6 bytes): of tensors on a GPU once it is used, else resident."""
    import torch

    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return round((_status_bytes("VmHWM") or _lifetime_peak()) / 1e6, 1)


def _status_bytes(name: str) -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def _lifetime_peak() -> int:
    """On Linux a started process has that of the one that started it, too: the larger counts."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)
