"""Runs on workers give what a run in one process gives, keep its caps, and stop as it does."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_ray import FakeRay
from fake_server import FakeServer, Request, Response, error, revise, serving

from clairkit.audit.verify import verify
from clairkit.errors import RemoteError, ResourceError, UsageError
from clairkit.generation import BuildSettings, ModelOptions
from clairkit.generation.engine import make_build, run_build
from clairkit.generation.export import BuildResult
from clairkit.generation.ray import RayEngine, engine
from clairkit.journal.prices import Prices
from clairkit.journal.results import journal_path
from clairkit.records import PromptRow

Rows = Callable[..., list[PromptRow]]


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay(CPU=4)
    monkeypatch.setattr(engine, "_import_ray", lambda: fake)
    return fake


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(revise) as made:
        yield made


def run(
    output: Path, rows: list[PromptRow], url: str, *, on_ray: bool = True, **settings: Any
) -> BuildResult:
    models = ModelOptions(base_url=url, concurrency=4)
    chosen = BuildSettings(models=models, **settings)
    specs = {"reviser": "openai:gpt"}
    made = RayEngine(chosen, specs, workers=2, block_rows=3) if on_ray else None
    method = make_build(chosen, reviser="openai:gpt")
    return run_build(rows, method, output, settings=chosen, engine=made)


def results(output: Path) -> set[tuple[str, ...]]:
    with sqlite3.connect(journal_path(output)) as database:
        return set(database.execute("SELECT key, step, attempt, text, model FROM results"))


def test_the_same_keys_replies_and_files(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows
) -> None:
    there = run(tmp_path / "ray.jsonl", make_rows(10), server.url)
    here = run(tmp_path / "here.jsonl", make_rows(10), server.url, on_ray=False)
    assert (there.pairs, there.calls, there.unfinished) == (10, 10, 0)
    assert there.path.read_bytes() == here.path.read_bytes()
    assert results(there.path) == results(here.path)
    assert len(server.requests) == 20
    assert verify(there.path).problems == []
    assert ray.maps == [{"compute": 2, "num_cpus": 1, "num_gpus": 0.0}]
    assert ray.started == 0  # ours, and shut down


def test_a_run_may_go_on_here_or_there(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows
) -> None:
    output = tmp_path / "pairs.jsonl"
    run(output, make_rows(4), server.url, on_ray=False)
    run(output, make_rows(8), server.url)
    assert len(server.requests) == 8
    result = run(output, make_rows(11), server.url, on_ray=False)
    assert (result.pairs, len(server.requests)) == (11, 11)
    run(output, make_rows(11), server.url)
    assert len(ray.maps) == 1  # the last run had nothing to ask, and started no worker


def test_what_a_server_refuses_is_kept(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows
) -> None:
    def script(request: Request) -> Response:
        text = request.body["messages"][0]["content"]
        return error(400) if "answer 1." in text else revise(request)

    server.script = script
    for _ in range(2):
        result = run(tmp_path / "pairs.jsonl", make_rows(4), server.url)
        assert (result.pairs, result.counts) == (3, {"bad_request": 1})
    assert len(server.requests) == 4


def test_what_may_pass_is_asked_again(ray: FakeRay, tmp_path: Path, make_rows: Rows) -> None:
    specs, settings, output = (
        {"reviser": "python:reviser_functions:broken"},
        BuildSettings(),
        tmp_path / "pairs.jsonl",
    )
    for _ in range(2):
        result = run_build(
            make_rows(2),
            make_build(settings, **specs),
            output,
            settings=settings,
            engine=RayEngine(settings, specs),
        )
        assert result.counts == {"function_error": 2}
    assert sorted(attempt for _, _, attempt, _, _ in results(output)) == [1, 1, 2, 2]


@pytest.mark.parametrize("most", [1, 4, 9])
def test_max_calls_counts_the_calls_of_all_workers(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows, most: int
) -> None:
    output = tmp_path / "pairs.jsonl"
    result = run(output, make_rows(10), server.url, max_calls=most)
    assert (result.pairs, result.over_budget, len(server.requests)) == (most, True, most)
    assert run(output, make_rows(10), server.url, max_calls=99).pairs == 10
    assert len(server.requests) == 10


def test_max_cost_counts_the_cost_of_all_workers(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows
) -> None:
    output = tmp_path / "pairs.jsonl"
    prices = Prices.load(None, ["gpt=1000000,0"])  # seven dollars a call
    result = run(output, make_rows(12), server.url, max_cost=7 * 5 + 1.0, prices=prices)
    assert (result.pairs, result.over_budget, result.cost) == (5, True, 35.0)
    result = run(output, make_rows(12), server.url, max_cost=7 * 8.0, prices=prices)
    assert (result.pairs, len(server.requests)) == (8, 8)


def test_a_refused_key_stops_all_workers(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows
) -> None:
    server.script = lambda request: error(401)
    result = run(tmp_path / "pairs.jsonl", make_rows(30), server.url)
    assert isinstance(result.stop, RemoteError)
    assert "OPENAI_API_KEY" in str(result.stop)
    assert len(server.requests) <= 2
    assert result.unfinished == 30


def test_a_signal_lets_what_is_under_way_end(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows
) -> None:
    def script(request: Request) -> Response:
        if request.number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return revise(request)

    server.script = script
    before = signal.getsignal(signal.SIGTERM)
    output = tmp_path / "pairs.jsonl"
    result = run(output, make_rows(30), server.url)
    assert (result.signal, result.stop) == (signal.SIGTERM, None)
    assert 2 <= result.pairs <= 7  # two workers with two calls each, and what was handed out
    assert result.pairs == len(server.requests)  # none was made in vain
    assert signal.getsignal(signal.SIGTERM) == before
    server.script = revise
    assert run(output, make_rows(30), server.url).pairs == 30
    assert len(server.requests) == 30


def test_a_lost_node_is_no_bug_and_what_is_done_is_kept(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows
) -> None:
    ray.dies_at = 2
    output = tmp_path / "pairs.jsonl"
    with pytest.raises(ResourceError, match="a node died"):
        run(output, make_rows(10), server.url)
    assert ray.started == 0
    ray.dies_at = None
    assert run(output, make_rows(10), server.url).pairs == 10
    assert len(server.requests) == 10


def test_a_worker_with_another_function_is_refused(
    ray: FakeRay, tmp_path: Path, make_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("rules_7.py").write_text("def revise(request): return request.answer + '!'\n")
    settings = BuildSettings()
    specs = {"reviser": "python:rules_7:revise"}
    method = make_build(settings, **specs)
    Path("rules_7.py").write_text("def revise(request): return request.answer + '?!?'\n")
    del sys.modules["rules_7"]
    result = run_build(
        make_rows(3),
        method,
        tmp_path / "pairs.jsonl",
        settings=settings,
        engine=RayEngine(settings, specs),
    )
    assert isinstance(result.stop, UsageError)
    assert "reviser.source" in str(result.stop)
    assert results(tmp_path / "pairs.jsonl") == set()


def test_progress_counts_every_row_once(
    ray: FakeRay, server: FakeServer, tmp_path: Path, make_rows: Rows
) -> None:
    output = tmp_path / "pairs.jsonl"
    run(output, make_rows(4), server.url, on_ray=False)
    settings = BuildSettings(models=ModelOptions(base_url=server.url))
    specs = {"reviser": "openai:gpt"}
    seen: list[tuple[int, int, int]] = []
    run_build(
        make_rows(11),
        make_build(settings, **specs),
        output,
        settings=settings,
        engine=RayEngine(settings, specs, workers=2, block_rows=3),
        progress=lambda state: seen.append((state.done, state.resumed, state.calls["revise"])),
    )
    assert seen[-1] == (11, 4, 7)


def test_models_must_be_specs_and_ray_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'ray\[data\]>="):
        RayEngine(BuildSettings(), {"reviser": "openai:gpt"})
    with pytest.raises(UsageError, match="the reviser of a run on Ray must be a spec"):
        RayEngine(BuildSettings(), {"reviser": object()})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="at least 1"):
        RayEngine(BuildSettings(), {"reviser": "openai:gpt"}, workers=0)
