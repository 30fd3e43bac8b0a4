"""Triton kernels, and the tile operations that launch them.

`head`, `logits`, `losses` and `preference` hold what runs on the device and import triton alone.
"""

from __future__ import annotations

import importlib.util

# The first that compiles all of it (3.4 does not), and the one that has run on a GPU.
LEAST_TRITON = (3, 6)


def unavailable_reason() -> str | None:
    """Return why the kernels of this package can't run here; None when they can."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed (it comes with clairkit on Linux)"
    import triton

    if tuple(map(int, triton.__version__.split(".")[:2])) < LEAST_TRITON:
        needed = ".".join(map(str, LEAST_TRITON))
        return f"Triton {needed} or later is needed: this is {triton.__version__} (update torch)"
    if interpreted():
        return None
    import torch

    if torch.version.hip is not None:
        return "the launch configurations are for NVIDIA GPUs: this torch is built for ROCm"
    if not torch.cuda.is_available():
        return "no CUDA device; TRITON_INTERPRET=1, set before Python starts, runs them on a CPU"
    major, minor = torch.cuda.get_device_capability()
    if major < 8:
        return f"compute capability 8.0 or higher is needed: this GPU has {major}.{minor}"
    return None


def interpreted() -> bool:
    """Return whether Triton runs kernels in its interpreter, on tensors of any device."""
    import triton

    from clairkit.kernels.triton.head import head_kernel

    return not isinstance(head_kernel, triton.JITFunction)
