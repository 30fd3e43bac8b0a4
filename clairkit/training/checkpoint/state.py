"""Check that a checkpoint's files hold the state after the step that its name says."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

_STATE, _SCHEDULER, _SCALER = "trainer_state.json", "scheduler.pt", "scaler.pt"
# What torch and safetensors raise for a file that is not theirs.
_UNREADABLE = (
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    pickle.UnpicklingError,
    SafetensorError,
)


def inner_fault(folder: Path, step: int) -> str | None:
    """Return what is wrong inside of a checkpoint's files, None when they agree."""
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        found = state["global_step"]
    except _UNREADABLE:
        return f"has a {_STATE} that can't be read"
    if type(found) is not int or found != step:
        return f"says in {_STATE} that it is of step {found}"
    for path in sorted(folder.iterdir()):  # what DeepSpeed keeps in folders is its own affair
        if path.suffix in (".pt", ".pth", ".safetensors") and not _opens(path):
            return f"has a {path.name} that can't be loaded"
    return _schedule_fault(folder, step)


def _opens(path: Path) -> bool:
    """Whether a file of tensors is one; nothing of its content is run, little is read."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt"):
                return True
        if path.suffix == ".pth":  # random states hold what torch alone does not read
            return zipfile.is_zipfile(path)
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _UNREADABLE:
        return False
    return True


def _schedule_fault(folder: Path, step: int) -> str | None:
    """Compare the place in the schedule with the step.

    Schedules of a metric count evaluations, and under a gradient scaler steps may be skipped.
    """
    path = folder / _SCHEDULER
    if not path.is_file() or (folder / _SCALER).exists():
        return None
    schedule: Any = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(schedule, dict) or "last_epoch" not in schedule:
        return f"has a {_SCHEDULER} without a place in the schedule"
    if "lr_lambdas" in schedule and schedule["last_epoch"] != step:
        return f"has a {_SCHEDULER} of step {schedule['last_epoch']}"
    return None
