"""Work in a process of its own: answers, errors, lateness, and how the process ends."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import pytest

from clairkit.bench.measure.worker_process import (
    ProcessOutcome,
    WorkerProcess,
    run_apart,
    serve_object,
)

PATIENT = 30.0


@pytest.fixture
def started() -> Iterator[list[WorkerProcess]]:
    found: list[WorkerProcess] = []
    yield found
    for worker in found:
        worker.end()


def test_an_object_is_made_once_and_asked_often(started: list[WorkerProcess]) -> None:
    worker = WorkerProcess(serve_object, dict, [("a", 1)])
    started.append(worker)
    assert worker.answer(PATIENT) == ProcessOutcome()
    worker.ask("setdefault", "b", 2)
    assert worker.answer(PATIENT) == ProcessOutcome(2)
    worker.ask("get", "b")
    worker.ask("pop", "c")
    assert worker.answer(PATIENT) == ProcessOutcome(2)
    wrong = worker.answer(PATIENT)
    assert wrong is not None
    assert wrong.problem == "KeyError: 'c'"
    worker.ask("__len__")
    assert worker.answer(PATIENT) == ProcessOutcome(2)


def test_one_that_can_not_be_made_says_why(started: list[WorkerProcess]) -> None:
    started.append(WorkerProcess(serve_object, int, "x"))
    made = started[0].answer(PATIENT)
    assert made is not None
    assert made.problem.startswith("ValueError: invalid literal")


def test_a_process_that_was_killed_says_so(started: list[WorkerProcess]) -> None:
    started.append(WorkerProcess(serve_object, signal.raise_signal, signal.SIGKILL))
    killed = started[0].answer(PATIENT)
    assert killed is not None
    assert killed.out_of_memory
    started[0].ask("anything")
    assert started[0].answer(PATIENT) == killed


def test_one_that_takes_too_long_gives_no_answer_and_can_be_ended() -> None:
    worker = WorkerProcess(serve_object, time.sleep, 600)
    assert worker.answer(0.2) is None
    before = time.monotonic()
    worker.end()
    assert time.monotonic() - before < PATIENT


def test_what_a_process_has_started_ends_with_it() -> None:
    worker = WorkerProcess(serve_object, subprocess.Popen, ["sleep", "600"])
    worker.answer(PATIENT)
    worker.ask("__getattribute__", "pid")
    child = worker.answer(PATIENT)
    assert child is not None
    worker.end()
    _until_gone(child.value)


def test_one_that_is_dismissed_ends_by_itself(tmp_path: Path) -> None:
    worker = WorkerProcess(serve_object, Finalize, None, os.mkdir, (tmp_path / "ended",), None, 0)
    worker.answer(PATIENT)
    worker.dismiss()
    worker.end(grace=PATIENT)
    assert (tmp_path / "ended").exists()


PROGRAM = """
import threading, time
from clairkit.bench.measure.worker_process import WorkerProcess, serve_object

if __name__ == "__main__":
    worker = WorkerProcess(serve_object, threading.Event)
    worker.answer(60)
    worker.ask("wait", 600)  # busy: it does not notice that nobody listens
    print(worker._process.pid, flush=True)
    time.sleep(600)
"""


def test_no_process_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PROGRAM, encoding="utf-8")
    parent: Any
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    _until_gone(pid)


def _until_gone(pid: int) -> None:
    end = time.monotonic() + PATIENT
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        with suppress(OSError):  # dead, only not yet waited for
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(") ")[1][0] == "Z":
                return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")


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


def test_one_function_that_takes_too_long_is_ended() -> None:
    found = run_apart(time.sleep, 600, seconds=0.2)
    assert (found.problem, found.late) == ("not done after 0 s", True)
