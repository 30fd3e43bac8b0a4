"""Process a block on a worker: the same engine, over a journal of the block's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from clairkit.engine.driver import run_works
from clairkit.engine.local_batches import waits_for_batch
from clairkit.engine.program import Method
from clairkit.engine.replay import Open, replay
from clairkit.errors import ClairError, UsageError
from clairkit.generation.engine import make_models
from clairkit.generation.methods import make_method
from clairkit.generation.ray.blocks import Block, BlockResult, results_after
from clairkit.generation.ray.shared_budget import Ask, WorkerBudget
from clairkit.generation.settings import BuildSettings
from clairkit.journal.results import Journal, differences
from clairkit.models.budget import Budget
from clairkit.models.requests import Model, Task
from clairkit.models.sampling import Outcome
from clairkit.models.specs import ModelOptions
from clairkit.records.json_types import JsonMapping


@dataclass(frozen=True)
class Job:
    """What every worker is given: the settings, the models' specs by role, how many share.

    `expected` are the settings of the method as the run's own process sees them.
    """

    settings: BuildSettings
    specs: Mapping[str, str | None]
    workers: int
    expected: JsonMapping


class BlockRunner:
    """Runs blocks, one after the other, with models that are made once.

    Args:
        job: what to do.
        ask: reaches the shared budget.
    """

    def __init__(self, job: Job, ask: Ask) -> None:
        self._job = job
        self._ask = ask
        self._made: Method | None = None

    def run(self, block: Block) -> BlockResult:
        """Make all calls that the block's rows still ask."""
        settings = self._job.settings
        budget = WorkerBudget(self._ask, max_calls=settings.max_calls, max_cost=settings.max_cost)
        try:
            return self._run(block, budget)
        except ClairError as error:
            return BlockResult(error=error)

    def _run(self, block: Block, budget: Budget) -> BlockResult:
        method = self._method()
        works = [partial(method.program, row) for row in block.rows]
        with (
            TemporaryDirectory(prefix="clairkit-block-") as folder,
            closing(Journal(Path(folder) / "block")) as journal,
            ThreadPoolExecutor(1) as pool,  # signals are the main process's business
        ):
            journal.write(block.known)
            pool.submit(run_works, works, journal, budget).result()
            entries = results_after(journal.path, len(block.known))
            done = sum(not isinstance(replay(work, journal), Open) for work in works)
        return BlockResult(entries, done - block.done, budget.error)

    def _method(self) -> Method:
        if self._made is None:
            settings = replace(self._job.settings, models=share_of(self._job))
            models = keep_local(make_models(settings, **self._job.specs))
            made = make_method(settings.method, settings, models)
            changes = differences(self._job.expected, made.settings())
            if changes:
                raise UsageError(
                    "a worker sees other settings: " + "; ".join(changes),
                    remedy="give every machine the same model, function and template files",
                )
            self._made = made
        return self._made


def share_of(job: Job) -> ModelOptions:
    """Return the options of one worker, so that all together keep the run's limits."""
    options, workers = job.settings.models, job.workers
    return replace(
        options,
        concurrency=math.ceil(options.concurrency / workers),
        **{
            name: value and value / workers
            for name in ("requests_per_minute", "tokens_per_minute")
            for value in [getattr(options, name)]
        },
    )


def keep_local(models: Mapping[str, Model]) -> Mapping[str, Model]:
    """Let the only model that runs in this process stay loaded from block to block.

    Where there are two, each is closed to make room for the other, as in any run.
    """
    local = {id(model) for model in models.values() if waits_for_batch(model)}
    if len(local) != 1:
        return models
    kept = {id(model): _Kept(model) for model in models.values() if id(model) in local}
    return {role: kept.get(id(model), model) for role, model in models.items()}


class _Kept:
    """A model that is not closed at the end of a block."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name = model.name
        self.identity = model.identity
        self.is_function = model.is_function
        self.batch_size = model.batch_size
        self.concurrency = model.concurrency
        self.is_local = getattr(model, "is_local", False)

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        return await self._model.complete(tasks, budget)

    async def close(self) -> None:
        """It stays; the worker's end frees it."""
