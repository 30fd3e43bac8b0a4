"""Measure the memory that this process has and had."""

from __future__ import annotations

import resource
import sys

from clairkit.kernels.memory import proc_bytes


def resident_bytes() -> int:
    """Return the resident memory; its peak where the system tells no more."""
    return proc_bytes("self/status", "VmRSS") or _lifetime_peak()


def peak_memory_mb() -> float:
    """Return the peak in MB (10^6 bytes): of tensors on a GPU once it is used, else resident."""
    import torch

    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return round((proc_bytes("self/status", "VmHWM") or _lifetime_peak()) / 1e6, 1)


def _lifetime_peak() -> int:
    """On Linux a started process has that of the one that started it, too: the larger counts."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)
