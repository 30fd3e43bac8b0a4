"""Stand-ins for peers and for processes, to see what the kernel suite does with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from clairkit.bench import peers
from clairkit.bench.kernels.problem import Variant, from_logps, plain_logps
from clairkit.bench.measure.worker_process import ProcessOutcome, attempt


def right(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """What it should be."""
    return plain_logps(hidden, weight, targets)


def wrong(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """A token is missing."""
    return plain_logps(hidden, weight, targets) * (torch.arange(len(targets)) > 0)


def greedy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Out of memory once there are more than a few tokens."""
    if len(targets) > 20:
        raise torch.OutOfMemoryError("out of memory at this size")
    return plain_logps(hidden, weight, targets)


def broken(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Raises."""
    raise TypeError("no such argument")


FAKES = {"right": right, "wrong": wrong, "greedy": greedy, "broken": broken, "huge": right}


def add_fakes(patch: pytest.MonkeyPatch) -> None:
    """Make the fakes peers, beside one that is not installed."""

    def peer(name: str) -> peers.Peer:
        size = 1e18 if name == "huge" else 0.0
        made = Variant(name, name, lambda: from_logps(FAKES[name]), lambda case: size)
        return peers.Peer(name, "torch", lambda case, device: [made])

    absent = peers.Peer("away-kernels", "module_that_is_nowhere", lambda case, device: [])
    for name in list(peers.PEERS):
        patch.delitem(peers.PEERS, name)
    for name in FAKES:
        patch.setitem(peers.PEERS, name, peer(name))
    patch.setitem(peers.PEERS, "away", absent)


def run_here(task: Any, *arguments: Any, preload: Any = (), seconds: Any = None) -> ProcessOutcome:
    """Do in this process what the suite does in one of its own."""
    return attempt(task, *arguments)
