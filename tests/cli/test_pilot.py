"""`clairkit pilot`: what it prints, runs and returns, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pilot_folders import ask_for

from clairkit.cli.main import run
from clairkit.pilot.pilot_file import init_pilot

PROGRAM = [sys.executable, "-m", "clairkit.cli"]
# Answers and revises by rule; notes each answer, and at the tenth does what it is told to.
MODEL = """
import os, pathlib, signal
log = pathlib.Path("calls.txt")
def answer(request):
    with log.open("a") as file:
        file.write("x")
    trap = pathlib.Path("trap")
    if log.stat().st_size == 10 and trap.exists():
        what = trap.read_text()
        trap.unlink()
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getppid(), getattr(signal, what))
    return f"The answer is {len(request.prompt[-1]['content'])}."
def revise(request):
    return request.answer.replace("The answer is", "The right answer is")
def check(prompt, answer, row):
    return "right" in answer
"""
ROWS = 40


def begun(folder: Path, **values: Any) -> Path:
    """A pilot whose models are functions, with its prompts."""
    init_pilot(folder, "en")
    spec = "python:model_of_pilot"
    ask_for(
        folder,
        title="東京 pilot",
        decision="whether",
        model=f"{spec}:answer",
        reviser=f"{spec}:revise",
        wanted={"prompts": ROWS, "win_rate": 90},
        build={"concurrency": 1},
        evaluate={"check": f"{spec}:check"},
        **values,
    )
    (folder / "model_of_pilot.py").write_text(MODEL)
    for name, word in (("prompts.jsonl", "learn"), ("held_out.jsonl", "measure")):
        rows = [json.dumps({"prompt": f"{word} {'a' * at}"}) for at in range(ROWS)]
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


def call(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return subprocess.run(
        [*PROGRAM, "pilot", *words],
        cwd=folder,
        env={**plain, **env},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def test_init_then_what_to_fill_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "new")
    assert run(["pilot", "init", folder, "--language", "ja"]) == 0
    assert f"clairkit pilot next {folder}" in capsys.readouterr().out
    assert run(["pilot", "init", folder]) == 2
    capsys.readouterr()
    assert run(["pilot", "next", folder]) == 8
    assert "Fill in pilot.yaml" in capsys.readouterr().out
    assert run(["pilot", "status", str(tmp_path)]) == 2


def test_status_as_json_and_in_narrow_terminals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path)
    assert run(["pilot", "status", str(tmp_path), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["current"] == 2
    assert found["gates"][0]["state"] == "passed"
    assert found["next"]["who"] == "clairkit"
    assert found["next"]["commands"][0].startswith("clairkit build-pairs prompts.jsonl")
    for columns in (80, 20):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert run(["pilot", "status", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len([line for line in lines if line[:1].isdigit() and "ed:" in line]) == 1
        wide = [line for line in lines if len(line) > columns and " " in line.strip()]
        assert not [line for line in wide if "clairkit " not in line]


def test_an_override_is_noted_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(tmp_path)
    named = ["pilot", "next", str(tmp_path)]
    assert run([*named, "--override", "3"]) == 2
    assert run([*named, "--why", "so"]) == 2
    assert run([*named, "--override", "1", "--why", "so"]) == 2
    assert "has passed" in capsys.readouterr().err
    assert run([*named, "--override", "3", "--why", "no people", "--who", "Sato"]) == 0
    assert run(["pilot", "status", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "3 overridden: Rubric agrees with field labels" in out
    assert ": no people" in out


def test_a_gate_that_failed_stops_the_road(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path)
    (tmp_path / "held_out.jsonl").write_bytes((tmp_path / "prompts.jsonl").read_bytes())
    assert run(["pilot", "next", str(tmp_path)]) == 7
    err = capsys.readouterr().err
    assert "gate 1, Prompts and expectations collected, has failed" in err
    assert "--override 1 --why" in err


def test_the_memo_at_any_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(tmp_path)
    page = tmp_path / "memo.html"
    named = ["pilot", "memo", str(tmp_path), "-o", str(page)]
    for more in ([], ["--language", "ja"]):
        assert run([*named, *more]) == 0  # ours is made anew
    assert 'lang="ja"' in page.read_text(encoding="utf-8")
    page.write_text("mine")
    capsys.readouterr()
    assert run(named) == 2
    assert run([*named, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recommendation"] == "none"


@pytest.mark.slow
def test_next_runs_the_station_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    folder = begun(tmp_path / "pilot")
    (folder / "trap").write_text("kill")
    killed = call(folder, "next")
    assert killed.returncode == 128 + signal.SIGKILL
    assert "clairkit build-pairs prompts.jsonl -o pairs.jsonl" in killed.stderr
    assert "To go on:\nclairkit pilot next" in killed.stderr
    done = call(folder.parent, "next", "pilot", "--json")
    assert done.returncode == 0, done.stderr
    assert (folder / "calls.txt").stat().st_size <= ROWS + 2  # what was kept is not asked again
    found = json.loads(done.stdout)
    assert found["gates"][1]["state"] == "passed"
    assert found["current"] == 3
    assert "cd pilot && clairkit build-pairs" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_reaches_the_station_which_drains(tmp_path: Path, name: str) -> None:
    folder = begun(tmp_path)
    (folder / "trap").write_text(name)
    stopped = call(folder, "next")
    assert stopped.returncode == 128 + getattr(signal, name)
    assert "Traceback" not in stopped.stderr
    assert "To go on:\nclairkit pilot next" in stopped.stderr
    assert (folder / "calls.txt").stat().st_size < ROWS
    assert call(folder, "next").returncode == 0
    assert (folder / "calls.txt").stat().st_size <= ROWS + 1


def test_a_dry_run_prints_the_command_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path)
    assert run(["pilot", "next", str(tmp_path), "--dry-run"]) == 0
    assert f"cd {tmp_path} && clairkit build-pairs" in capsys.readouterr().out
    assert not (tmp_path / "pairs.jsonl").exists()
