"""The trace against tensors whose sizes are known."""

from __future__ import annotations

import torch

from clairkit.planning.trace import ACTIVATIONS, MemoryTrace


def test_peak_counts_storages_once_and_those_that_live() -> None:
    trace = MemoryTrace()
    with trace:
        a = torch.empty(100, dtype=torch.float32)
        view = a.view(10, 10)
        b = a + 1
        assert trace.live[ACTIVATIONS] == 800
        del b
        assert trace.live[ACTIVATIONS] == 400
        trace.tag(a, "weights")
    assert trace.live == {"weights": 400, ACTIVATIONS: 0}
    assert trace.take_peak().total() == 800
    assert trace.take_peak().total() == 400
    del a
    assert trace.live["weights"] == 400  # the view holds it
    del view
    assert trace.live["weights"] == 0


def test_products_are_counted() -> None:
    trace = MemoryTrace()
    with trace:
        torch.empty(3, 4) @ torch.empty(4, 5)
    assert trace.flops == 2 * 3 * 4 * 5
