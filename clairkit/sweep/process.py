"""Run a command of clairkit as a process of its own, and name how it ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clairkit.records.json_types import JsonObject

# The child dies with the thread that started it: a sweep that is killed leaves none at work.
_START = """
import ctypes, os, runpy, signal, sys
parent, module = int(sys.argv[1]), sys.argv[2]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != parent:
    sys.exit(143)
sys.argv = ["clairkit", *sys.argv[3:]]
runpy.run_module(module, run_name="__main__")
"""
_KINDS = (
    (re.compile(r"out of memory|memory of this machine is used up"), "out of memory"),
    (re.compile(r"not finite"), "not finite"),
    (re.compile(r"bytes are free there|No space left on device"), "disk full"),
)
_STOPPED = (130, 143)
_TAIL = 20_000


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code, below 0 the signal that killed it.
        kind: "done", "stopped" by our own signal, or what a table calls the failure.
        reason: what it said last.
        result: the object that it printed.
        seconds: it took.
    """

    code: int
    kind: str
    reason: str
    result: JsonObject
    seconds: float


@dataclass
class Processes:
    """Runs commands, each in a session of its own, so that the sweep decides what a signal does.

    Attributes:
        module: that is run as the command line.
    """

    module: str = "clairkit.cli"
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)  # a handler takes it, too
    _stopping: bool = False

    def run(self, arguments: Sequence[str], log: Path, device: Mapping[str, str]) -> Ended:
        """Run a command to its end.

        Args:
            arguments: of `clairkit`; --json is added.
            log: gets what it says to people, added to what is there.
            device: variables of the environment that give it a device.
        """
        began = time.monotonic()
        command = [sys.executable, "-c", _START, str(os.getpid()), self.module, *arguments]
        with log.open("ab") as errors:
            errors.write(f"$ clairkit {' '.join(arguments)}\n".encode())
            errors.flush()
            start = errors.tell()
            with self._lock:
                if self._stopping:
                    return Ended(130, "stopped", "", {}, 0.0)
                process = subprocess.Popen(
                    [*command, "--json"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env={**os.environ, **device},
                    start_new_session=True,
                )
                self._running.append(process)
        printed, _ = process.communicate()
        with self._lock:
            self._running.remove(process)
        seconds = time.monotonic() - began
        said = _said(log, start)
        kind = self._kind(process.returncode, said)
        return Ended(process.returncode, kind, _last(said), _result(printed), seconds)

    def stop(self, number: int) -> None:
        """Send a signal to all that run, and start no more."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                process.send_signal(number)

    def _kind(self, code: int, said: str) -> str:
        if code == 0:
            return "done"
        if self._stopping and (code in _STOPPED or code < 0):
            return "stopped"
        if code < 0:
            return f"killed ({signal.Signals(-code).name})"
        last = _last(said)
        found = next((kind for pattern, kind in _KINDS if pattern.search(last)), None)
        return found or f"exit code {code}"


def _said(log: Path, start: int) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _TAIL))
        return file.read().decode("utf-8", "replace")


def _last(said: str) -> str:
    """Return the error that a command ended with, or the last that it said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error: ")]
    return (errors or lines or [""])[-1].removeprefix("Error: ")


def _result(printed: bytes) -> JsonObject:
    lines = printed.decode("utf-8", "replace").splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}
