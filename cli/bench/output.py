"""Share the device and the output between the suites of `clairkit bench`."""

from __future__ import annotations

import textwrap

from clairkit.cli.shared.console import Console, width_of
from clairkit.cli.shared.streams import messages, results


def find_device(device: str) -> str:
    """Return the device to measure on.

    Raises:
        ResourceError: it is not there.
    """
    import torch

    from clairkit.errors import ResourceError

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ResourceError("torch sees no CUDA device", remedy="leave --device out")
    return ("cuda" if there else "cpu") if device == "auto" else device


def wrapped(console: Console, text: str) -> None:
    """Show prose, broken between words to the width of the output."""
    width = width_of(messages() if console.as_json else results())
    console.show(textwrap.fill(text, width, break_on_hyphens=False))
