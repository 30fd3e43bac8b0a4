"""Name the backends, tell whether each can run here, and which one `auto` takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import torch

from clairkit.kernels.tiles import TorchTiles, WideTorchTiles


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run on this machine, and why, or why not."""

    available: bool
    reason: str


def _native_tiles(device: torch.device) -> TorchTiles:
    """The tiled pass with its element-wise part in C, on a CPU."""
    if device.type != "cpu":
        raise RuntimeError(f"backend 'native' runs on a CPU: hidden is on {device}")
    from clairkit.kernels.native import NativeTiles

    return NativeTiles()


def _triton_tiles(device: torch.device) -> TorchTiles:
    """The tiled pass with product and exponentials fused in one Triton kernel, on a GPU."""
    from clairkit.kernels.triton import interpreted
    from clairkit.kernels.triton.tiles import TritonTiles

    if device.type != "cuda" and not interpreted():
        raise RuntimeError(f"backend 'triton' runs on a GPU: hidden is on {device}")
    return TritonTiles()


# What makes a pass's tile operations for a device; "eager" has no tiles.
TILES: dict[str, Callable[[torch.device], TorchTiles]] = {
    "triton": _triton_tiles,
    "native": _native_tiles,
    "torch": lambda device: WideTorchTiles() if device.type == "cuda" else TorchTiles(),
}
BACKENDS = (*TILES, "eager")


def _triton_state() -> Availability:
    from clairkit.kernels.triton import unavailable_reason

    reason = unavailable_reason()
    if reason is not None:
        return Availability(False, reason)
    return Availability(True, "product and exponentials fused, on a GPU; bfloat16 and float32")


def _native_state() -> Availability:
    if importlib.util.find_spec("clairkit.kernels._native") is None:
        return Availability(False, "the C extension was not built; reinstall with a C compiler")
    return Availability(True, "C tile pass on the CPU, float32 and bfloat16")


_STATES: dict[str, Callable[[], Availability]] = {
    "triton": _triton_state,
    "native": _native_state,
    "torch": lambda: Availability(True, "tiled torch operations, any device"),
    "eager": lambda: Availability(True, "plain torch with all logits: the reference"),
}


def backend_state(name: str) -> Availability:
    """Return whether one backend can run here; looks at no other, and imports nothing of theirs."""
    return _STATES[name]()


def available_backends() -> dict[str, Availability]:
    """Return every backend's name with whether it can run here and why, the fastest first."""
    return {name: state() for name, state in _STATES.items()}


def choose_backend(device: torch.device, dtype: torch.dtype) -> tuple[str, str]:
    """Return (backend, reason) that `auto` takes for hidden states of this device and dtype.

    All of them keep the numerics contract; `auto` never takes one that keeps less.
    """
    fast = {"cpu": _native_state, "cuda": _triton_state}.get(device.type)
    if fast is None:
        return "torch", f"the tiled pass is the fastest one for {device.type}"
    state = fast()
    if not state.available:
        return "torch", state.reason
    if dtype not in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        return "torch", f"the fused passes have no {name}"
    return ("native" if device.type == "cpu" else "triton"), state.reason
