"""Work in a process of its own: results, errors, and processes that are killed."""

from __future__ import annotations

import operator
import os
import signal
from typing import Any

import pytest

from clairkit.bench.measure.isolate import ProcessOutcome, run_apart


def test_a_result_comes_back() -> None:
    assert run_apart(operator.add, 2, 3) == ProcessOutcome(5)


def test_each_run_has_a_process_of_its_own() -> None:
    found = {run_apart(os.getpid).value for _ in range(2)}
    assert len(found | {os.getpid()}) == 3


def test_an_error_is_told() -> None:
    found = run_apart(operator.truediv, 1, 0)
    assert (found.value, found.out_of_memory) == (None, False)
    assert found.problem == "ZeroDivisionError: division by zero"


def test_a_process_that_the_system_kills_ran_out_of_memory() -> None:
    # What the kernel does when memory ends: the process kills itself in its place.
    found = run_apart(signal.raise_signal, signal.SIGKILL)
    assert found.out_of_memory
    assert "memory" in found.problem


def test_lack_of_memory_is_told_apart() -> None:
    found = run_apart(bytearray, 2**62)
    assert found.problem.startswith("MemoryError")
    assert found.out_of_memory


def test_what_the_work_prints_stays_out_of_stdout(capfd: pytest.CaptureFixture[Any]) -> None:
    run_apart(os.write, 1, b"noise\n")
    assert "noise" not in capfd.readouterr().out
