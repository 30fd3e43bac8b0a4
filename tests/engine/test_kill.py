"""Kill -9 at random moments: no row is lost, none comes twice, few calls are made again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import build_forks
import pytest
from fake_server import revise, serving
from fast_client import fast_server

from clairkit.generation import BuildSettings, ModelOptions, build_pairs
from clairkit.records import Message, PromptRow, write_rows

CONCURRENCY = 4


def write_prompts(file: Path, rows: int) -> Path:
    made = (
        PromptRow((Message(role="user", content=f"q{n}"),), f"answer {n}.") for n in range(rows)
    )
    write_rows(file, (row.to_json() for row in made))
    return file


class Builds:
    """Builds of one output, one after the other, that may be killed."""

    def __init__(self, prompts: Path, output: Path, url: str) -> None:
        script = Path(build_forks.__file__)
        arguments = [str(prompts), str(output), url, str(CONCURRENCY)]
        self._process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _line(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def run(self) -> int:
        """Run a build to its end; return its exit status."""
        self._line()
        return self._line()

    def kill(self, after: float, first: Callable[[], bool] = lambda: True) -> int:
        """Start a build and kill it some seconds after `first` is true."""
        child = self._line()
        end = time.monotonic() + 60
        while not first() and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        return self._line()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "kills"), [(250, 20), pytest.param(2500, 200, marks=pytest.mark.long)]
)
def test_killed_runs_end_as_an_undisturbed_one(rows: int, kills: int, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", rows)
    with fast_server(0.0) as server:
        settings = BuildSettings(models=ModelOptions(base_url=server.url))
        whole = build_pairs(
            prompts, reviser="openai:gpt", output=tmp_path / "whole.jsonl", settings=settings
        )
    output = tmp_path / "pairs.jsonl"
    chance = random.Random(7)
    with fast_server(0.04) as server:
        builds = Builds(prompts, output, server.url)
        try:
            ends = []
            for turn in range(kills):
                # Every fourth one at its beginning, the others after some requests: counted, not
                # timed, so that a slow machine kills at work as well.
                wanted = server.requests + (0 if turn % 4 == 0 else chance.randint(8, 16))
                ends.append(
                    builds.kill(
                        chance.uniform(0, 0.02), lambda until=wanted: server.requests >= until
                    )
                )
            killed = ends.count(-signal.SIGKILL)
            asked_before = len(server.stats()["asked"])
            assert builds.run() == 0
        finally:
            builds.close()
        stats = server.stats()
    assert set(ends) <= {0, -signal.SIGKILL}
    assert killed >= 0.9 * kills
    assert rows / 10 < asked_before < rows  # killed at work, and not at the end
    assert output.read_bytes() == whole.path.read_bytes()
    assert len(stats["asked"]) == rows
    assert stats["requests"] - rows <= killed * CONCURRENCY


def test_killed_while_exporting_leaves_the_old_file(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 120)
    output = tmp_path / "pairs.jsonl"
    with serving(revise) as server:
        settings = BuildSettings(models=ModelOptions(base_url=server.url))
        build_pairs(prompts, reviser="openai:gpt", output=output, settings=settings)
        content = output.read_bytes()
        arguments = [sys.executable, "-c", KILLED_IN_EXPORT, str(prompts), str(output), server.url]
        run = subprocess.run(arguments, check=False, stdout=subprocess.DEVNULL)
    assert run.returncode == -signal.SIGKILL
    assert output.read_bytes() == content


KILLED_IN_EXPORT = """
import os, signal, sys
import clairkit.generation.export as export
from clairkit.generation import BuildSettings, ModelOptions, build_pairs
whole = export.row_results
def half(*given):
    for number, row in enumerate(whole(*given)):
        if number == 60:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row
export.row_results = half
prompts, output, url = sys.argv[1:]
settings = BuildSettings(models=ModelOptions(base_url=url))
build_pairs(prompts, reviser="openai:gpt", output=output, settings=settings)
"""
