"""What the system tells of memory, and how much of it a trained head may keep by default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from clairkit.kernels import memory, options
from clairkit.kernels.buffer_cache import MOST_BYTES
from clairkit.kernels.options import LEAST_BUDGET, budget_bytes

CPU = torch.device("cpu")
GIB = 1 << 30


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in for a container's folder on a machine with 64 GiB, 9 of them free."""
    system = {"MemAvailable": 9 * GIB, "MemTotal": 64 * GIB}
    monkeypatch.setattr(memory, "proc_bytes", lambda file, name: system[name])
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    memory.total_memory.cache_clear()
    yield tmp_path
    memory.total_memory.cache_clear()


def test_the_tighter_of_system_and_container_counts(container: Path) -> None:
    assert (memory.free_memory(CPU), memory.total_memory()) == (9 * GIB, 64 * GIB)
    (container / "memory.max").write_text("max\n")
    (container / "memory.current").write_text(f"{3 * GIB}\n")
    assert memory.free_memory(CPU) == 9 * GIB
    (container / "memory.max").write_text(f"{4 * GIB}\n")
    memory.total_memory.cache_clear()
    assert (memory.free_memory(CPU), memory.total_memory()) == (GIB, 4 * GIB)
    (container / "memory.stat").write_text(f"anon 5\ninactive_file {2 * GIB}\n")
    assert memory.free_memory(CPU) == 3 * GIB


def test_a_system_that_tells_nothing_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "proc_bytes", lambda file, name: None)
    monkeypatch.setattr(memory, "_CGROUP", Path("/nowhere"))
    assert memory.free_memory(CPU) == 0


@pytest.mark.parametrize(
    ("total", "free", "budget"),
    [
        (64 * GIB, 9 * GIB, MOST_BYTES),
        (64 * GIB, 3 * GIB, LEAST_BUDGET),
        (8 * GIB, 3 * GIB, GIB // 2),
        (8 * GIB, 2 * GIB - 1, LEAST_BUDGET),
        (GIB // 4, GIB // 4, LEAST_BUDGET),
        (0, 0, LEAST_BUDGET),
    ],
)
def test_the_default_is_a_part_of_a_cpus_memory(
    total: int, free: int, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "total_memory", lambda: total)
    monkeypatch.setattr(options, "free_memory", lambda device: free)
    assert budget_bytes(None, CPU) == budget
    assert budget_bytes(None, CPU, trained=False) == LEAST_BUDGET
    assert budget_bytes(None, torch.device("cuda")) == LEAST_BUDGET
    assert budget_bytes("auto", CPU) == free // 4
    assert budget_bytes(7, CPU) == 7
