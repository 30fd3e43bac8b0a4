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


@pytest.mark.skipif(sys.platform != "linux", reason="the limit needs /proc")
def test_an_allocation_beyond_what_is_there_is_out_of_memory() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.split() == ["1048576", "True"], done.stderr


def test_the_tighter_of_system_and_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "proc_bytes", lambda file, name: 9 << 30)
    monkeypatch.setattr(memory, "_cgroup_available", lambda: 4 << 30)
    assert memory.available_bytes(CPU) == 3 << 30
    monkeypatch.setattr(memory, "_cgroup_available", lambda: None)
    assert memory.available_bytes(CPU) == 8 << 30
    monkeypatch.setattr(memory, "proc_bytes", lambda file, name: None)
    assert memory.available_bytes(CPU) is None
