"""What a worker keeps, and its share of a run's limits."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from fake_ray import FakeRay

from clairkit.engine.local_batches import waits_for_batch
from clairkit.generation import BuildSettings, ModelOptions
from clairkit.generation.ray import engine
from clairkit.generation.ray.worker import Job, keep_local, share_of


class Model:
    is_function, is_local, concurrency, identity = False, False, 1, {"kind": "test"}

    def __init__(self, name: str, batch_size: int) -> None:
        self.name, self.batch_size, self.closed = name, batch_size, 0

    async def complete(self, tasks: Any, budget: Any) -> Any:
        raise AssertionError

    async def close(self) -> None:
        self.closed += 1


async def closed(models: Any) -> dict[str, int]:
    for model in keep_local(models).values():
        await model.close()
    return {model.name: model.closed for model in models.values()}


async def _all() -> list[dict[str, int]]:
    one, two, remote = Model("one", 8), Model("two", 8), Model("remote", 1)
    return [
        await closed({"target": one, "reviser": remote}),
        await closed({"target": one, "reviser": one}),
        await closed({"target": one, "reviser": two}),
    ]


def test_a_local_model_stays_loaded_when_it_is_the_only_one() -> None:
    assert asyncio.run(_all()) == [{"one": 0, "remote": 1}, {"one": 0}, {"one": 1, "two": 1}]


def test_a_model_here_stays_even_if_it_takes_one_row_at_a_time() -> None:
    local = Model("local", 1)
    local.is_local = True
    kept = keep_local({"target": local})["target"]
    asyncio.run(kept.close())
    assert not local.closed
    assert waits_for_batch(kept)


def test_workers_share_the_limits_of_a_run() -> None:
    options = ModelOptions(concurrency=10, requests_per_minute=90, timeout=7)
    share = share_of(Job(BuildSettings(models=options), {}, 4, {}))
    assert (share.concurrency, share.requests_per_minute) == (3, 22.5)
    assert (share.tokens_per_minute, share.timeout) == (None, 7)


@pytest.mark.parametrize(
    ("resources", "model", "workers", "gpus"),
    [
        ({"CPU": 16.0, "GPU": 2.0}, Model("hf", 8), 2, 1.0),
        ({"CPU": 16.0}, Model("hf", 8), 1, 0.0),
        ({"CPU": 16.0, "GPU": 2.0}, Model("hf", 1), 2, 1.0),
        ({"CPU": 16.0, "GPU": 2.0}, Model("openai", 1), 4, 0.0),
        ({"CPU": 2.0}, Model("openai", 1), 2, 0.0),
        ({}, Model("openai", 1), 1, 0.0),
    ],
)
def test_how_many_workers(
    resources: dict[str, float], model: Model, workers: int, gpus: float
) -> None:
    model.concurrency, model.is_local = 64, model.name == "hf"
    method: Any = SimpleNamespace(models={"reviser": model})
    fake = FakeRay(**resources)
    assert (engine._workers(fake, method), engine._gpus(fake, method)) == (workers, gpus)
