"""Kill -9 at random moments: no row is lost, none comes twice, few calls are made again."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from fake_server import Request, Response, answer_in, revise, serving

from clairkit.generation import BuildSettings, ModelOptions, build_pairs
from clairkit.records import Message, PromptRow, write_rows

ROWS, KILLS, CONCURRENCY = 120, 14, 4
RUN = """
import sys
from clairkit.generation import BuildSettings, ModelOptions, build_pairs
prompts, output, url, concurrency = sys.argv[1:]
print("started", flush=True)
build_pairs(prompts, reviser="openai:gpt", output=output, settings=BuildSettings(
    models=ModelOptions(base_url=url, concurrency=int(concurrency))))
"""


def slow(request: Request) -> Response:
    time.sleep(0.02)
    return revise(request)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    rows = [
        PromptRow((Message(role="user", content=f"q{n}"),), f"answer {n}.") for n in range(ROWS)
    ]
    write_rows(file, (row.to_json() for row in rows))
    return file


def test_killed_runs_end_as_an_undisturbed_one(prompts: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    with serving(revise) as server:
        settings = BuildSettings(models=ModelOptions(base_url=server.url))
        whole = build_pairs(
            prompts, reviser="openai:gpt", output=tmp_path / "whole.jsonl", settings=settings
        )
    output = tmp_path / "pairs.jsonl"
    with serving(slow) as server:
        arguments = [
            sys.executable,
            "-c",
            RUN,
            str(prompts),
            str(output),
            server.url,
            str(CONCURRENCY),
        ]
        killed = 0
        for turn in range(KILLS):
            before = len(server.requests)
            run = subprocess.Popen(arguments, stdout=subprocess.PIPE)
            assert run.stdout is not None
            run.stdout.readline()
            while turn % 2 and len(server.requests) == before and run.poll() is None:
                time.sleep(0.001)  # every other one is killed at work, however slow the machine
            time.sleep(chance.uniform(0, 0.1))
            run.send_signal(signal.SIGKILL)
            killed += run.wait() == -signal.SIGKILL
            run.stdout.close()
        assert killed >= 12
        assert KILLS // 2 <= len(server.requests) < ROWS  # killed at work, and not at the end
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    assert output.read_bytes() == whole.path.read_bytes()
    asked = Counter(answer_in(request)[1] for request in server.requests)
    assert len(asked) == ROWS
    assert len(server.requests) - ROWS <= killed * CONCURRENCY


def test_killed_while_exporting_leaves_the_old_file(prompts: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    with serving(revise) as server:
        settings = BuildSettings(models=ModelOptions(base_url=server.url))
        build_pairs(prompts, reviser="openai:gpt", output=output, settings=settings)
        content = output.read_bytes()
        code = RUN.replace(
            "print(",
            "import os, signal, clairkit.generation.engine as e\n"
            "whole = e.row_results\n"
            "def half(*a):\n"
            "    for n, row in enumerate(whole(*a)):\n"
            "        if n == 60: os.kill(os.getpid(), signal.SIGKILL)\n"
            "        yield row\n"
            "e.row_results = half\n"
            "print(",
        )
        arguments = [sys.executable, "-c", code, str(prompts), str(output), server.url, "4"]
        run = subprocess.run(arguments, check=False, stdout=subprocess.DEVNULL)
    assert run.returncode == -signal.SIGKILL
    assert output.read_bytes() == content
