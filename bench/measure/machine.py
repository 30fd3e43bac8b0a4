"""Describe the machine that a figure was measured on. Imports torch alone."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("clairkit", "torch", "transformers", "triton")


def describe_machine(
    device: str, threads: int, packages: Sequence[str] = _PACKAGES
) -> dict[str, Any]:
    """Return the machine, the versions of `packages` and the commit, as JSON has them."""
    return {
        "device": _device_name(device),
        "cpu": cpu_name(),
        "cores": core_count(),
        "threads": threads,
        "simd": torch.backends.cpu.get_cpu_capability(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
        "commit": commit(Path(__file__).resolve().parent),
    }


def load() -> float | None:
    """Return how many processes wanted a core over the last minute, where the system tells."""
    with suppress(OSError, AttributeError):
        return round(os.getloadavg()[0], 2)
    return None


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        if match := re.search(r"(?mi)^model name\s*:\s*(.+)$", text):
            family = re.search(r"(?mi)^cpu family\s*:\s*(\d+)$", text)
            model = re.search(r"(?mi)^model\s*:\s*(\d+)$", text)
            more = f" (family {family[1]}, model {model[1]})" if family and model else ""
            return match[1].strip() + more
    return platform.processor() or platform.machine()


def commit(folder: Path) -> str | None:
    """Return the commit of the checkout that `folder` lies in, `+changes` when it has some."""
    if not (folder.parent / ".git").exists():
        return None  # installed from a wheel: the git around it, if any, is not ours
    head = _git(folder, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return None
    return head + ("+changes" if _git(folder, "status", "--porcelain") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout.strip()
    return None


def _device_name(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return device


def core_count() -> int:
    """Return the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _version(name: str) -> str | None:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None
