"""How much memory a process holds that has what a run needs, but no model."""

from __future__ import annotations

import ctypes
from contextlib import suppress

from clairkit.training.memory import resident_bytes

# Large enough for the math libraries to set up the buffers that they keep.
_WARM = 512


def ready_bytes() -> int:
    """Return the resident memory once everything is imported and each kind of work was done once.

    At their first products the math libraries take buffers that they keep: 30 to 40 MB.
    """
    import torch

    import clairkit.training.trainer  # noqa: F401 - a run has it in memory
    from clairkit.kernels import linear_logps

    layer = torch.nn.Linear(_WARM, _WARM)
    hidden = layer(torch.zeros(_WARM, _WARM))
    heads = hidden.view(1, -1, 8, 64).transpose(1, 2)
    torch.nn.functional.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
    targets = torch.zeros(len(hidden), dtype=torch.int64)
    torch.autograd.backward(linear_logps(hidden, layer.weight, targets).sum())
    torch.optim.AdamW(layer.parameters()).step()
    del layer, hidden, heads, targets
    with suppress(AttributeError):  # a C library that has no such call
        ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()
