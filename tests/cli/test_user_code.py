"""Whole processes with code of the user's: an honest exit code, and one object under `--json`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import asyncio, atexit, ctypes, os, sys, threading

print("imported"); os.write(1, b"raw\\n")
ctypes.CDLL(None).puts(b"from C"); os.system("echo child")

def model(request): return "x"

def noisy(*given):
    print("called"); os.system("echo child"); return True

def ends(*given): os._exit(0)

def becomes_another(*given): os.execv("/bin/true", ["true"])

def closes(*given):
    sys.stdout.close(); sys.stderr.close(); os.closerange(1, 3); return True

def in_thread(*given):
    thread = threading.Thread(target=os._exit, args=(0,))
    thread.start(); thread.join(); return True

def at_exit(*given):
    atexit.register(os._exit, 0); return True

def pool(*given):
    import multiprocessing, time
    for _ in range(8):  # whether a worker hears of its end before it is gone is a race
        with multiprocessing.get_context("fork").Pool(2) as workers:
            better = workers.map(str.upper, ["better."])[0]
    time.sleep(0.3)  # for the event loop to see what it was woken for
    return better

def leaves(*given): sys.exit(0)

async def in_task(request):
    async def leave(): sys.exit(0)
    asyncio.get_running_loop().create_task(leave()); await asyncio.sleep(5); return "y"
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "user_functions.py").write_text(MODULE)
    (folder / "prompts.jsonl").write_text('{"prompt": "q", "answer": "a."}\n')
    command = [sys.executable, "-m", "clairkit.cli", *arguments, "--json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def evaluate(folder: Path, check: str) -> subprocess.CompletedProcess[str]:
    return run(
        folder,
        "evaluate",
        "prompts.jsonl",
        "--model",
        "python:user_functions:model",
        "--check",
        f"python:user_functions:{check}",
    )


@pytest.mark.parametrize("check", ["noisy", "closes"])
def test_only_the_result_stands_on_stdout(tmp_path: Path, check: str) -> None:
    done = evaluate(tmp_path, check)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["successes"] == 1
    for words in ("imported", "raw", "from C", "child"):
        assert words in done.stderr


@pytest.mark.parametrize("check", ["leaves", "ends", "becomes_another", "in_thread", "at_exit"])
def test_a_check_can_not_end_the_program_with_success(tmp_path: Path, check: str) -> None:
    done = evaluate(tmp_path, check)
    assert done.returncode == 2
    assert done.stdout.count("\n") <= 1
    assert f"user_functions:{check}`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("reviser", ["leaves", "ends", "in_task"])
def test_a_reviser_can_not_end_the_program_with_success(tmp_path: Path, reviser: str) -> None:
    done = run(
        tmp_path,
        "build-pairs",
        "prompts.jsonl",
        "-o",
        "pairs.jsonl",
        "--reviser",
        f"python:user_functions:{reviser}",
    )
    assert done.returncode == 2
    assert done.stdout.count("\n") <= 1
    assert f"user_functions:{reviser}`" in done.stderr


def test_an_exit_at_import_proves_no_gain(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\ndef check(*_): return True\nsys.exit(0)\n")
    model = "python:user_functions:model"
    done = run(
        tmp_path,
        "evaluate",
        "prompts.jsonl",
        "--model",
        model,
        "--baseline",
        model,
        "--check",
        "python:script:check",
        "--require-gain",
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "`python:script:check` tried to end the program (SystemExit: 0)" in done.stderr


def test_a_pool_that_ends_its_workers_does_not_end_the_run(tmp_path: Path) -> None:
    """Its SIGTERM woke the event loop of this process, through a descriptor that they share."""
    done = run(
        tmp_path,
        "build-pairs",
        "prompts.jsonl",
        "-o",
        "pairs.jsonl",
        "--reviser",
        "python:user_functions:pool",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pairs"] == 1
