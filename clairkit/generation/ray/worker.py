"""Process a block on a worker: the same engine and journal, caps shared by all workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clairkit.engine.driver import run_works
from clairkit.engine.local_batches import waits_for_batch
from clairkit.engine.program import Method
from clairkit.engine.replay import Open, replay, trace
from clairkit.errors import ClairError, UsageError
from clairkit.generation.engine import make_models
from clairkit.generation.methods import make_method
from clairkit.generation.settings import BuildSettings
from clairkit.journal.results import Journal, JournalEntry, differences
from clairkit.models.budget import Budget, ReachedCap
from clairkit.models.requests import Model, Task
from clairkit.models.sampling import Outcome
from clairkit.models.specs import ModelOptions
from clairkit.records import PromptRow
from clairkit.records.json_types import JsonMapping

Ask = Callable[..., Any]
"""Calls a method of the shared budget by its name, wherever it runs; returns its result."""


@dataclass(frozen=True)
class Block:
    """Rows that stand one after the other, with the results that the journal has of them."""

    rows: tuple[PromptRow, ...]
    known: tuple[JournalEntry, ...]
    done: int
    """Rows that ask nothing more."""


@dataclass(frozen=True)
class BlockResult:
    """What a worker made of a block: new results, rows newly done, the error that stopped it."""

    entries: tuple[JournalEntry, ...] = ()
    done: int = 0
    error: ClairError | None = None


def blocks_of(
    rows: Iterable[PromptRow], method: Method, journal: Journal, size: int
) -> Iterator[Block]:
    """Yield the rows in blocks of `size`, in their order.

    The blocks are the same in a resumed run, and so are the batches that are formed in them.

    Args:
        rows: of the run.
        method: how a row becomes a pair.
        journal: what is known already; it goes with the rows.
        size: rows in a block.
    """
    source = iter(rows)
    while some := tuple(islice(source, size)):
        known: dict[tuple[str, str], JournalEntry] = {}
        done = 0
        for row in some:
            traced = trace(partial(method.program, row), journal, ask_again=True)
            done += not isinstance(traced.result, Open)
            for call, recorded in traced.steps:
                key, step = call.task.key, call.step
                known[key, step] = JournalEntry(key, step, call.model.name, recorded.outcome)
        yield Block(some, tuple(known.values()), done)


class SharedBudget:
    """Holds the run's budget; workers ask it before every call."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def take(self, count: int) -> bool:
        """Claim `count` calls."""
        return self._budget.take(count)

    def must_wait(self, model: str) -> bool:
        """Whether a call has to show first what it costs."""
        return self._budget.must_wait(model)

    def reserve(self, model: str, count: int) -> float | None:
        """Set aside what calls may cost; None when the run stops or would go over its cap."""
        return None if self._budget.halted else self._budget.reserve(model, count)

    def settle(self, model: str, outcomes: Sequence[Outcome], reserved: float) -> None:
        """Count what results took."""
        self._budget.settle(model, outcomes, reserved)

    def halt(self) -> None:
        """Let what is in flight end, and start nothing more."""
        self._budget.halt()

    def verdict(self) -> tuple[ReachedCap | None, ClairError | None]:
        """Return the cap that was reached and the error that stopped the run, if one was."""
        return self._budget.reached, self._budget.error


class WorkerBudget(Budget):
    """The budget of one worker. It asks the shared one for what concerns all."""

    def __init__(self, ask: Ask, *, max_calls: int | None, max_cost: float | None) -> None:
        super().__init__(max_calls, max_cost=max_cost)
        self._ask = ask

    def take(self, count: int = 1) -> bool:
        if self.halted:
            return False
        if self._max_calls is not None and not self._ask("take", count):
            self.halt()
            return False
        self.calls += count
        return True

    def must_wait(self, model: str) -> bool:
        return self.max_cost is not None and bool(self._ask("must_wait", model))

    def reserve(self, model: str, count: int) -> float | None:
        amount: float | None = self._ask("reserve", model, count)  # a stop is seen here, too
        if amount is None:
            self.halt()
        return amount

    def settle(self, model: str, outcomes: Sequence[Outcome], reserved: float) -> None:
        if self.max_cost is not None:
            self._ask("settle", model, [replace(each, text="") for each in outcomes], reserved)


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
            entries = journal.entries_after(len(block.known))
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
