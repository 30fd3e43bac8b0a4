"""An object in a process of its own: answers, errors, lateness, and how the process ends."""

from __future__ import annotations

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

from clairkit.bench.measure.isolate import ProcessOutcome
from clairkit.bench.measure.worker_process import WorkerProcess

PATIENT = 30.0


@pytest.fixture
def started() -> Iterator[list[WorkerProcess]]:
    found: list[WorkerProcess] = []
    yield found
    for companion in found:
        companion.end()


def test_an_object_is_made_once_and_asked_often(started: list[WorkerProcess]) -> None:
    companion = WorkerProcess(dict, [("a", 1)])
    started.append(companion)
    assert companion.answer(PATIENT) == ProcessOutcome()
    companion.ask("setdefault", "b", 2)
    assert companion.answer(PATIENT) == ProcessOutcome(2)
    companion.ask("get", "b")
    companion.ask("pop", "c")
    assert companion.answer(PATIENT) == ProcessOutcome(2)
    wrong = companion.answer(PATIENT)
    assert wrong is not None
    assert wrong.problem == "KeyError: 'c'"
    companion.ask("__len__")
    assert companion.answer(PATIENT) == ProcessOutcome(2)


def test_one_that_can_not_be_made_says_why(started: list[WorkerProcess]) -> None:
    started.append(WorkerProcess(int, "x"))
    made = started[0].answer(PATIENT)
    assert made is not None
    assert made.problem.startswith("ValueError: invalid literal")


def test_a_process_that_was_killed_says_so(started: list[WorkerProcess]) -> None:
    started.append(WorkerProcess(signal.raise_signal, signal.SIGKILL))
    killed = started[0].answer(PATIENT)
    assert killed is not None
    assert killed.out_of_memory
    started[0].ask("anything")
    assert started[0].answer(PATIENT) == killed


def test_one_that_takes_too_long_gives_no_answer_and_can_be_ended() -> None:
    companion = WorkerProcess(time.sleep, 600)
    assert companion.answer(0.2) is None
    before = time.monotonic()
    companion.end()
    assert time.monotonic() - before < PATIENT


def test_what_a_process_has_started_ends_with_it() -> None:
    companion = WorkerProcess(subprocess.Popen, ["sleep", "600"])
    companion.answer(PATIENT)
    companion.ask("__getattribute__", "pid")
    child = companion.answer(PATIENT)
    assert child is not None
    companion.end()
    _until_gone(child.value)


def test_one_that_is_dismissed_ends_by_itself(tmp_path: Path) -> None:
    companion = WorkerProcess(Finalize, None, os.mkdir, (tmp_path / "ended",), None, 0)
    companion.answer(PATIENT)
    companion.dismiss()
    companion.end(grace=PATIENT)
    assert (tmp_path / "ended").exists()


PROGRAM = """
import threading, time
from clairkit.bench.measure.worker_process import Companion

if __name__ == "__main__":
    companion = Companion(threading.Event)
    companion.answer(60)
    companion.ask("wait", 600)  # busy: it does not notice that nobody listens
    print(companion._process.pid, flush=True)
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
