"""Memory that can be had, and the limit that makes a greedy process fail alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from clairkit.bench.measure import memory

CPU = torch.device("cpu")


# Prints whether the small allocation went well, and what the large one was called.
PROGRAM = """
import torch
from clairkit.bench.measure import memory
from clairkit.bench.measure.timing import is_out_of_memory
cpu = torch.device("cpu")
free = memory.available_bytes(cpu)
memory.limit_memory(cpu)
print(len(torch.empty(1 << 20, dtype=torch.uint8)))
try:
    torch.empty(2 * free + (1 << 30), dtype=torch.uint8)
except Exception as error:
    print(is_out_of_memory(error))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit needs /proc")
def test_an_allocation_beyond_what_is_there_is_out_of_memory() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.split() == ["1048576", "True"], done.stderr


def test_a_part_is_left_to_the_rest_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, available in ((9 << 30, 8 << 30), (1 << 20, 0), (0, None)):
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        assert memory.available_bytes(CPU) == available
