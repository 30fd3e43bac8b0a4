"""The memory of a process, its own alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from clairkit.training.memory import peak_memory_mb, resident_bytes

CHILD = "from clairkit.training.memory import peak_memory_mb; print(peak_memory_mb())"


def test_the_peak_stays_when_memory_is_given_back() -> None:
    before = resident_bytes()
    block = torch.ones(1 << 28, dtype=torch.uint8)
    assert resident_bytes() > before + 0.9 * len(block)
    del block
    assert resident_bytes() < before + 1e8
    assert peak_memory_mb() > (before + 0.9 * (1 << 28)) / 1e6


@pytest.mark.slow
def test_the_peak_of_the_process_that_starts_another_is_not_the_others() -> None:
    block = torch.ones(1 << 30, dtype=torch.uint8)
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert 50 < float(done.stdout) < len(block) / 1e6
