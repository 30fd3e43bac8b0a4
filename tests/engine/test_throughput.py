"""How fast a run is: against a server that answers after 500 ms, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fast_client import drive, fast_server

ROWS, CONCURRENCY, LATENCY = 1280, 64, 0.5
IDEAL = ROWS / CONCURRENCY * LATENCY  # seconds
RUN = """
import json, resource, sys, time
from clairkit.generation import BuildSettings, ModelOptions, build_pairs
prompts, output, url, concurrency = sys.argv[1:]
settings = BuildSettings(models=ModelOptions(base_url=url, concurrency=int(concurrency)))
times = []
result = build_pairs(prompts, reviser="openai:gpt", output=output, settings=settings,
                     progress=lambda _: times.append(time.perf_counter()))
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps({"seconds": times[-1] - times[0], "peak_mb": peak, "torch": "torch" in sys.modules,
                  "pairs": result.pairs, "counts": result.counts, "calls": result.calls}))
"""


def write_prompts(file: Path) -> Path:
    rows = [{"prompt": f"q {n}", "answer": f"answer {n}. {'word ' * 60}"} for n in range(ROWS)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def run(prompts: Path, output: Path, url: str) -> dict[str, object]:
    arguments = [sys.executable, "-c", RUN, str(prompts), str(output), url, str(CONCURRENCY)]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.long  # a busy machine can break it
def test_a_run_keeps_a_server_busy_in_little_memory(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl")
    shares: list[float] = []
    with fast_server(LATENCY) as server:
        for turn in range(4):
            started = time.perf_counter()
            asyncio.run(drive(server.port, ROWS, CONCURRENCY))
            bare = time.perf_counter() - started
            found = run(prompts, tmp_path / f"{turn}.jsonl", server.url)
            assert (found["pairs"], found["calls"]) == (ROWS, ROWS)
            assert found["peak_mb"] < 300
            assert not found["torch"]
            shares.append(bare / found["seconds"])
            share = IDEAL / found["seconds"]
            print(f"{share:.3f} of ideal, {shares[-1]:.3f} of a bare client")  # noqa: T201 - for the log
            if shares[-1] >= 0.9:
                break
        assert server.stats()["peak"] == CONCURRENCY
    assert max(shares) >= 0.9


@pytest.mark.slow
def test_faults_lose_no_row_and_make_none_twice(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl")
    output = tmp_path / "pairs.jsonl"
    with fast_server(0.005, 0.1) as server:
        found = run(prompts, output, server.url)
        stats = server.stats()
    rejected = [json.loads(line)["rejected"][0]["content"] for line in output.open()]
    assert rejected == [f"answer {n}. {'word ' * 60}" for n in range(ROWS)]
    assert found["calls"] == stats["requests"]
    assert ROWS * 1.05 < stats["requests"] < ROWS * 1.2
