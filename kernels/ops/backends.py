"""The backends by name, whether each can run here, and which one `auto` takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.kernels.options import HeadOptions
from clairkit.kernels.reference import eager_logps
from clairkit.kernels.tiled import Head, TiledLogps, forward_pass
from clairkit.kernels.tiles import TorchTiles

# (hidden [N, D], weight [V, D], targets [N], bias [V] or None, options) -> log-probs [N]
Backend = Callable[[Tensor, Tensor, Tensor, Tensor | None, HeadOptions], Tensor]


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run on this machine, and why, or why not."""

    available: bool
    reason: str


def _tiled(
    tiles: TorchTiles, hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None,
    options: HeadOptions,
) -> Tensor:  # fmt: skip
    inputs = (hidden, weight) if bias is None else (hidden, weight, bias)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        logps: Tensor = TiledLogps.apply(hidden, weight, bias, targets, options, tiles)  # type: ignore[no-untyped-call]
        return logps
    head = Head(weight, bias, options, tiles, hidden.dtype)
    return forward_pass(hidden, targets, head, want_gradient=False)[0]


def torch_logps(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, options: HeadOptions
) -> Tensor:
    """The tiled pass in torch ops, on any device."""
    return _tiled(TorchTiles(), hidden, weight, targets, bias, options)


def native_logps(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, options: HeadOptions
) -> Tensor:
    """The tiled pass with its element-wise part in C, on a CPU."""
    if hidden.device.type != "cpu":
        raise RuntimeError(f"backend 'native' runs on a CPU: hidden is on {hidden.device}")
    from clairkit.kernels.native import NativeTiles

    return _tiled(NativeTiles(), hidden, weight, targets, bias, options)


BACKENDS: dict[str, Backend] = {
    "native": native_logps,
    "torch": torch_logps,
    "eager": eager_logps,
}


def available_backends() -> dict[str, Availability]:
    """Return every backend's name with whether it can run here and why, the fastest first."""
    if importlib.util.find_spec("clairkit.kernels._native") is None:
        native = Availability(False, "the C extension was not built; reinstall with a C compiler")
    else:
        native = Availability(True, "C tile pass on the CPU, float32 and bfloat16")
    return {
        "native": native,
        "torch": Availability(True, "tiled torch operations, any device"),
        "eager": Availability(True, "plain torch with all logits: the reference"),
    }


def choose_backend(device: torch.device, dtype: torch.dtype) -> tuple[str, str]:
    """Return (backend, reason) that `auto` takes for hidden states of this device and dtype."""
    native = available_backends()["native"]
    if device.type != "cpu":
        return "torch", f"the tiled pass is the fastest one for {device.type}"
    if not native.available:
        return "torch", native.reason
    if dtype not in (torch.float32, torch.bfloat16):
        return "torch", f"the C tile pass has no {str(dtype).removeprefix('torch.')}"
    return "native", native.reason
