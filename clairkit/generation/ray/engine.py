"""Let workers of a Ray cluster make the calls (`--engine ray`); the results come back here.

Blocks of rows go out through Ray Data with what the journal already has of them; a worker runs
the usual engine over a block and returns its new results, which are written to the one journal
before anything is made of them. Keys, journal and files are those of any run, so that a run may
be begun on one machine and ended on a cluster. Lost when this process is killed are the blocks
under way: their calls are made again.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from clairkit.display import excerpt
from clairkit.engine.driver import quiet
from clairkit.engine.local_batches import waits_for_batch
from clairkit.engine.program import Method
from clairkit.engine.progress import Progress, ProgressHook
from clairkit.errors import ResourceError, UsageError
from clairkit.extras import install_command
from clairkit.generation.ray.worker import (
    Block,
    BlockResult,
    BlockRunner,
    Job,
    SharedBudget,
    blocks_of,
)
from clairkit.generation.settings import BuildSettings
from clairkit.journal.results import Journal
from clairkit.models.budget import Budget
from clairkit.records import PromptRow
from clairkit.records.json_types import JsonObject

_WINDOW = 1024  # blocks that are handed to Ray at once; they are held in its object store
_CALLS_A_WORKER = 16  # requests at once that make one more worker worth its start


@dataclass(frozen=True)
class RayEngine:
    """Makes the calls of a run on a Ray cluster: `RAY_ADDRESS`, else one on this machine.

    Keys of servers must be set where the workers run; they are not sent along.

    Attributes:
        settings: of the run.
        specs: the models by role; only specs, since each worker makes its own models.
        workers: processes; None is one a GPU for local models, one a core for functions, and for
            servers as many as `concurrency` needs.
        block_rows: rows in one block.

    Raises:
        UsageError: Ray is not installed, or a model is not given as a spec.
    """

    settings: BuildSettings
    specs: Mapping[str, str | None]
    workers: int | None = None
    block_rows: int = 64

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError("workers must be at least 1", received=self.workers)
        for role, spec in self.specs.items():
            if not isinstance(spec, str | None):
                raise UsageError(
                    f"the {role} of a run on Ray must be a spec",
                    remedy="write hf:…, openai:… or python:…",
                )
        _import_ray()

    def __call__(
        self,
        rows: Iterable[PromptRow],
        method: Method,
        journal: Journal,
        budget: Budget,
        *,
        progress: ProgressHook | None = None,
        say: Callable[[str], None] | None = None,
        total: int | None = None,
    ) -> None:
        """Make all calls that the rows ask and the journal has no result of."""
        ray = _import_ray()
        state = Progress(total)
        tell = progress or quiet
        with _cluster(ray):
            workers = self.workers or _workers(ray, method)
            job = Job(self.settings, dict(self.specs), workers, dict(method.settings()))
            shared = ray.remote(num_cpus=0)(SharedBudget).remote(budget)
            with stopping(budget, shared.halt.remote, say or quiet):
                blocks = self._open_blocks(rows, method, journal, state)
                while not budget.halted and (window := list(islice(blocks, _WINDOW))):
                    for result in _map(ray, window, job, shared, _gpus(ray, method)):
                        self._take_in(result, journal, budget, state)
                        tell(state)
                        if budget.halted:
                            shared.halt.remote()  # the others drain, too
            reached, error = ray.get(shared.verdict.remote())
        if not budget.halted and error is not None:
            budget.halt(error=error)
        budget.reached = reached

    def _open_blocks(
        self, rows: Iterable[PromptRow], method: Method, journal: Journal, state: Progress
    ) -> Iterator[Block]:
        for block in blocks_of(rows, method, journal, self.block_rows):
            state.done += block.done
            state.resumed += block.done
            if block.done < len(block.rows):
                yield block

    @staticmethod
    def _take_in(result: BlockResult, journal: Journal, budget: Budget, state: Progress) -> None:
        """Bring a block's results to the disk, and count them."""
        journal.write(result.entries)
        for entry in result.entries:
            state.count(entry.step, entry.outcome)
            budget.settle(entry.model, [entry.outcome], 0.0)
        budget.calls += sum(entry.outcome.tries for entry in result.entries)
        state.done += result.done
        state.cost = budget.cost
        if result.error is not None and not budget.halted:
            budget.halt(error=result.error)


class _Worker:
    """A block runner as Ray Data calls it."""

    def __init__(self, job: Job, shared: Any, place: Path, path: Sequence[str]) -> None:
        if place.is_dir():
            os.chdir(place)  # relative paths of models and templates mean the same as here
        sys.path += [entry for entry in path if entry not in sys.path]
        ray = _import_ray()

        def ask(name: str, *values: object) -> Any:
            return ray.get(getattr(shared, name).remote(*values))

        self._runner = BlockRunner(job, ask)

    def __call__(self, row: JsonObject) -> JsonObject:
        return {"result": pickle.dumps(self._runner.run(pickle.loads(row["block"])))}


def _map(
    ray: Any, blocks: Sequence[Block], job: Job, shared: Any, gpus: float
) -> Iterator[BlockResult]:
    """Run blocks on workers; yield the results as they come.

    Raises:
        ResourceError: Ray lost workers, memory or the cluster.
    """
    items = [{"block": pickle.dumps(block)} for block in blocks]
    data = ray.data.from_items(items, override_num_blocks=len(items)).map(
        _Worker,
        fn_constructor_args=(job, shared, Path.cwd(), list(sys.path)),
        compute=ray.data.ActorPoolStrategy(size=min(job.workers, len(items))),
        num_cpus=1,
        num_gpus=gpus,
    )
    try:
        for row in data.iter_rows():
            yield pickle.loads(row["result"])
    except ray.exceptions.RayTaskError:  # raised by our own code: a bug
        raise
    except ray.exceptions.RayError as error:
        raise ResourceError(
            f"Ray lost what it was running ({excerpt(str(error), 200)})",
            remedy="run the same command again; what is done is kept",
        ) from None


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError:
        remedy = f"install it with: {install_command('ray')}"
        raise UsageError("Ray is not installed", remedy=remedy) from None
    return ray


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """The cluster that runs already, else the one of `RAY_ADDRESS`, else one of our own."""
    context, log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    level = log.level
    log.setLevel(logging.ERROR)  # our own progress line says how far the run is
    is_ours = not ray.is_initialized()
    if is_ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anyone unasked
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its log files have the rest
        try:
            ray.init(logging_level="error", log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise ResourceError(
                f"Ray does not start ({error})", remedy="check RAY_ADDRESS, memory and ports"
            ) from None
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        log.setLevel(level)
        if is_ours:
            ray.shutdown()


def _has_local(method: Method) -> bool:
    return any(waits_for_batch(model) for model in method.models.values())


def _gpus(ray: Any, method: Method) -> float:
    return float(_has_local(method) and ray.cluster_resources().get("GPU", 0) >= 1)


def _workers(ray: Any, method: Method) -> int:
    """How many processes the models are worth."""
    resources = ray.cluster_resources()
    cores = max(1, int(resources.get("CPU", 1)))
    if _has_local(method):
        return max(1, int(resources.get("GPU", 0))) if _gpus(ray, method) else 1
    models = method.models.values()
    if any(model.is_function for model in models):
        return cores
    at_once = max(model.concurrency for model in models)
    return min(cores, -(-at_once // _CALLS_A_WORKER))


@contextmanager
def stopping(
    budget: Budget, halt: Callable[[], object], say: Callable[[str], None]
) -> Iterator[None]:
    """Drain at the first Ctrl-C or SIGTERM, leave at once at the second; in the main thread only.

    Raises:
        KeyboardInterrupt: a second signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        if budget.halted:
            raise KeyboardInterrupt
        budget.halt(signal=number)
        halt()
        say("Stopping: what is under way is waited for and kept. Once more to leave at once.")

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
