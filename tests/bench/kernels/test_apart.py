"""Variants that stay in processes of their own, real ones: from start to end, and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clairkit.bench.kernels.run import Choices, measure

POINT = "quick-frozen-fp32-62"
PATIENCE = 120.0


def test_from_start_to_end(tmp_path: Path) -> None:
    target, said = tmp_path / "k.json", list[str]()
    choices = Choices([POINT], peers=(), rounds=2, apart=True, output=target)
    document = measure(choices, said.append, lambda point: None)
    (point,) = document["points"]
    assert {one["status"] for one in point["results"]} == {"ok"}
    for one in point["results"]:
        assert len(one["seconds"]) == 2
        assert one["against_bare"]["4"]["median"] > 0
        assert one["memory"]["extra_bytes"] > 0
    assert document["settings"]["apart"]
    assert json.loads(target.read_text()) == document
    for text in ("float64 reference: ", "clairkit auto: ready after ", "eager: right, "):
        assert any(text in line for line in said), said
    assert all(float(line.split(" s ")[0]) >= 0 for line in said)


def test_who_was_not_ready_is_named_and_measured_when_it_is_resumed(tmp_path: Path) -> None:
    hasty = Choices(
        [POINT], peers=(), rounds=1, apart=True, output=tmp_path / "k.json", ready_seconds=0.001
    )
    (point,) = measure(hasty, lambda text: None, lambda point: None)["points"]
    assert {(one["status"], one["problem"]) for one in point["results"]} == {
        ("NOT READY", "float64 reference: not done after 0 s")
    }
    patient = replace(hasty, ready_seconds=60.0, resume=True)
    (point,) = measure(patient, lambda text: None, lambda point: None)["points"]
    assert {one["status"] for one in point["results"]} == {"ok"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_what_was_measured_outlives_kill_9(tmp_path: Path) -> None:
    target = tmp_path / "k.json"
    line = ["--device", "cpu", "--apart", "--case", POINT, "--peers", "torch", "--json", target]
    log = (tmp_path / "log").open("w", encoding="utf-8")
    # torch.compile takes seconds: it is the one that is not ready
    with (
        log,
        subprocess.Popen(
            [sys.executable, "-m", "clairkit.bench.kernels", *line],
            start_new_session=True,
            stdout=log,
            stderr=log,
            env=os.environ | {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"},
        ) as run,
    ):
        _until(lambda: _results(target).get("clairkit auto", {}).get("seconds"))
        assert _processes(run.pid) > 2
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        found = _results(target)
    assert found["clairkit auto"]["status"] == found["eager"]["status"] == "ok"
    lost = found["torch compiled"]
    assert (lost["status"], lost["problem"]) == ("NOT MEASURED", "its turn did not come")
    _until(lambda: not _processes(run.pid))


def _results(target: Path) -> dict[str, Any]:
    if not target.exists():
        return {}
    (point,) = json.loads(target.read_text(encoding="utf-8"))["points"]
    return {one["variant"]: one for one in point["results"]}


def _processes(session: int) -> int:
    """Count the processes of a session that have not ended."""
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, its = stat.read_text(encoding="utf-8").rsplit(") ", 1)[1].split()[:4]
            count += state != "Z" and int(its) == session
    return count


def _until(there: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)
