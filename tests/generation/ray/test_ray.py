"""On a real local Ray, where it is installed; `test_engine.py` has the rest without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_server import revise, serving

from clairkit.audit.verify import verify
from clairkit.generation import BuildSettings, ModelOptions
from clairkit.generation.engine import make_build, run_build
from clairkit.generation.ray import RayEngine
from clairkit.records import Message, PromptRow

pytest.importorskip("ray", reason="the [ray] extra is not installed")
pytestmark = pytest.mark.slow  # a local Ray takes its time to start

ROWS = [
    PromptRow((Message(role="user", content=f"question {n}"),), f"answer {n}.", f"row-{n}")
    for n in range(100)
]


def test_a_local_ray_gives_what_one_process_gives(tmp_path: Path) -> None:
    specs = {"reviser": "openai:gpt"}
    with serving(revise) as server:
        models = ModelOptions(base_url=server.url, concurrency=4)
        capped = BuildSettings(models=models, max_calls=30)
        settings = BuildSettings(models=models)
        for name, chosen in (("ray", capped), ("ray", settings), ("here", settings)):
            engine = RayEngine(chosen, specs, workers=2, block_rows=8) if name == "ray" else None
            result = run_build(
                ROWS,
                make_build(chosen, **specs),
                tmp_path / f"{name}.jsonl",
                settings=chosen,
                engine=engine,
            )
            if chosen is capped:
                assert (result.pairs, result.over_budget, len(server.requests)) == (30, True, 30)
        assert len(server.requests) == 200
    assert result.pairs == 100
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
    assert verify(tmp_path / "ray.jsonl").problems == []
