"""Run the calls of row programs: bounded in number and memory, each result journalled first.

Models elsewhere are asked as calls come, so that a row is revised while others are answered.
Models in this process run in groups: see `clairkit.engine.local_batches`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from clairkit.engine.local_batches import LocalBatches, LocalGroup, waits_for_batch
from clairkit.engine.pending_results import PendingResults, Row
from clairkit.engine.program import NO_MORE, Call
from clairkit.engine.progress import Progress, ProgressHook
from clairkit.engine.replay import Work
from clairkit.errors import ClairError
from clairkit.journal.results import Journal, JournalEntry, Recorded
from clairkit.models.budget import Budget
from clairkit.models.outcomes import is_halted, storable
from clairkit.models.reasons import HALTED
from clairkit.models.requests import Model, Task
from clairkit.models.sampling import Failure, Outcome

RAMP_SECONDS = 0.005
"""How far apart a model's calls begin, at least, when none is under way yet."""

BLOCK = 8192
"""The most rows at once of a run with local models; groups are formed within a block."""
_ROWS_PER_PLACE = 4  # rows in flight for each call that may run at once
_BREATH = 64  # rows that are started before results are looked after


class ModelQueue:
    """A model's queue, and how many of its calls are under way.

    `first` is held by calls that must not overlap, until one has shown what a call costs.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.calls: deque[Call] = deque()
        self.running = 0
        self.first = asyncio.Lock()
        self._next_start = 0.0

    async def take_turn(self) -> None:
        """Wait until `RAMP_SECONDS` after another began.

        Calls that begin together are answered together, and then wait for each other at every
        step. Begun one by one, they stay apart.
        """
        now = time.monotonic()
        start = max(now, self._next_start)
        self._next_start = start + RAMP_SECONDS
        if start > now:
            await asyncio.sleep(start - now)


class Scheduler:
    """Drives programs until they are done or the run stops."""

    def __init__(
        self, journal: Journal, budget: Budget, progress: Progress, hook: ProgressHook
    ) -> None:
        self._journal = journal
        self._budget = budget
        self._progress = progress
        self._hook = hook
        self._queues: dict[int, ModelQueue] = {}
        self._groups = LocalBatches()
        self._local: Model | None = None  # the one whose weights are in memory
        self._group_runs = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending = PendingResults(journal)
        self._stages: Counter[int] = Counter()  # calls that are under way or queued
        self._active = 0
        self._parked = 0
        self._block = 0
        self._uncommitted = 0
        self._crash: BaseException | None = None
        self._wake = asyncio.Event()

    async def run(self, works: Iterable[Work[object]]) -> None:
        """Run the programs to their end, or until `budget` halts.

        Raises:
            BaseException: whatever a program or a model raised beyond the failure of one row.
        """
        source = iter(works)
        try:
            self._tell()
            while True:
                is_fed = await self._feed(source)
                await self._release_local()
                if is_fed:
                    self._launch_group()
                if not self._tasks and not self._uncommitted:
                    break
                await self._wake.wait()
                self._wake.clear()
            if self._crash is not None:
                raise self._crash
        finally:
            for task in self._tasks:
                task.cancel()
            for queue in self._queues.values():
                await queue.model.close()
            if self._local is not None:
                await self._local.close()

    # Rows

    async def _feed(self, source: Iterator[Work[object]]) -> bool:
        """Start rows while there is room; True when no further row is to come for now."""
        while not self._budget.halted:
            if self._groups.is_used and self._block >= BLOCK:
                if self._active:
                    return True
                self._block = 0
                self._groups.clear()
            places = sum(queue.model.concurrency for queue in self._queues.values())
            if self._active - self._parked >= max(_BREATH, _ROWS_PER_PLACE * places):
                return False
            try:
                work = next(source, None)
            except Exception as error:  # a prompt file that was changed meanwhile
                self._stop_by(error)
                return True
            if work is None:
                return True
            self._active += 1
            self._block += 1
            self._guarded(partial(self._advance, Row(work()), None))
            if self._block % _BREATH == 0:
                await asyncio.sleep(0)
        return True

    def _advance(self, row: Row, results: list[Recorded] | None) -> None:
        """Take the calls of one round after the other while the journal has their results."""
        try:
            while True:
                row.calls = next(row.program) if results is None else row.program.send(results)
                if row.calls is NO_MORE:
                    break
                row.results = [None] * len(row.calls)
                row.missing = len(row.calls)
                row.elsewhere = 0
                for index, call in enumerate(row.calls):
                    self._look_up(row, index, call)
                if row.missing:
                    self._park(row)
                    return
                results = row.found
        except StopIteration:
            pass
        self._finish(row)

    def _park(self, row: Row) -> None:
        """A row that waits for local models only takes no room: all are to be there for a group."""
        is_parked = row.missing > 0 and not row.elsewhere
        self._parked += is_parked - row.parked
        row.parked = is_parked

    def _finish(self, row: Row) -> None:
        self._active -= 1
        self._progress.done += 1
        self._progress.resumed += not row.asked
        if row.asked:
            self._tell()
        self._wake.set()

    def _look_up(self, row: Row, index: int, call: Call) -> None:
        """Take a call's result from the journal, or see to it that it is asked, once."""
        is_local = waits_for_batch(call.model)
        if not self._pending.is_asked(call):
            found = self._pending.find(call)
            if is_local:
                self._groups.add(call, is_open=found is None)
            if found is not None:
                row.results[index] = found
                row.missing -= 1
                return
            if not is_local:
                self._ask(call)
        row.asked = True
        row.elsewhere += not is_local
        self._pending.add(call, (row, index))

    # Calls of models elsewhere

    def _ask(self, call: Call) -> None:
        queue = self._queues.get(id(call.model))
        if queue is None:
            queue = self._queues[id(call.model)] = ModelQueue(call.model)
        self._stages[call.stage] += 1
        queue.calls.append(call)
        if queue.running < call.model.concurrency:
            queue.running += 1
            self._spawn(self._serve(queue))

    async def _serve(self, queue: ModelQueue) -> None:
        """Make one call of a queue after the other."""
        try:
            await queue.take_turn()
            while queue.calls and not self._budget.halted:
                call = queue.calls.popleft()
                outcomes = await self._make(queue, call)
                await self._record(call.stage, call.step, call.model, [call.task], outcomes)
        finally:
            queue.running -= 1

    async def _make(self, queue: ModelQueue, call: Call) -> list[Outcome]:
        """The outcome of a call; the first one is made alone when its cost is to be learnt."""
        if self._budget.must_wait(call.model.name):
            async with queue.first:
                if self._budget.must_wait(call.model.name):
                    return await self._complete(call.model, [call.task])
        return await self._complete(call.model, [call.task])

    async def _complete(self, model: Model, tasks: Sequence[Task]) -> list[Outcome]:
        """The outcomes of tasks; an error of the whole run lets the other calls drain."""
        halted: list[Outcome] = [Failure(HALTED)] * len(tasks)
        reserved = self._budget.reserve(model.name, len(tasks))
        if reserved is None:
            return halted
        outcomes = halted
        started = time.perf_counter()
        try:
            outcomes = await model.complete(tasks, self._budget)
            seconds = round(time.perf_counter() - started, 3)
            outcomes = [replace(outcome, seconds=seconds) for outcome in outcomes]
        except ClairError as error:
            self._budget.halt(error=error)
        finally:
            made = [outcome for outcome in outcomes if not is_halted(outcome)]
            self._budget.settle(model.name, made, reserved)
        return outcomes

    async def _record(
        self,
        stage: int,
        step: str,
        model: Model,
        tasks: Sequence[Task],
        outcomes: Sequence[Outcome],
    ) -> None:
        """Hand results to the journal; their rows go on when they are on the disk."""
        handed = None
        for task, outcome in zip(tasks, outcomes, strict=True):
            if is_halted(outcome):
                continue
            entry = JournalEntry(task.key, step, model.name, storable(outcome))
            self._uncommitted += 1
            handed = self._journal.submit(entry, partial(self._on_disk, stage, entry))
        if handed is not None:
            # Until the commit begins the result would not outlive this process: no further call.
            await handed

    def _on_disk(self, stage: int, entry: JournalEntry, error: BaseException | None) -> None:
        self._uncommitted -= 1
        self._wake.set()
        if error is None:
            self._guarded(partial(self._arrived, entry))
        else:
            self._stop_by(error)
        self._stages[stage] -= 1

    def _arrived(self, entry: JournalEntry) -> None:
        result, slots = self._pending.arrived(entry)
        self._progress.count(entry.step, entry.outcome)
        self._tell()
        for row, index in slots:
            row.results[index] = result
            row.missing -= 1
            row.elsewhere -= not waits_for_batch(row.calls[index].model)
            self._park(row)
            if not row.missing:
                self._advance(row, row.found)

    # Calls of models in this process

    def _launch_group(self) -> None:
        """Begin the next group when no further call can become part of it."""
        stage = self._groups.next_stage
        if stage is None or self._budget.halted or self._group_runs:
            return
        if any(count for at, count in self._stages.items() if at < stage):
            return
        group = self._groups.take()
        self._group_runs = True
        self._stages[group.stage] += len(group.open)
        self._spawn(self._run_group(group))

    async def _run_group(self, group: LocalGroup) -> None:
        if self._local is not None and self._local is not group.model:
            await self._local.close()  # its memory is the next one's now
        self._local = group.model
        batches = group.batches()

        async def work() -> None:
            for batch in batches:
                if self._budget.halted:
                    return
                made = await self._complete(group.model, batch)
                open_calls = [
                    (task, outcome)
                    for task, outcome in zip(batch, made, strict=True)
                    if task.key in group.open
                ]
                tasks, outcomes = zip(*open_calls, strict=True)
                await self._record(group.stage, group.step, group.model, tasks, outcomes)

        try:
            await asyncio.gather(*(work() for _ in range(group.model.concurrency)))
        finally:
            self._group_runs = False

    async def _release_local(self) -> None:
        """Let go of a local model that nothing waits for."""
        is_busy = self._group_runs or self._uncommitted
        if self._local is not None and not is_busy and not self._groups.needs(self._local):
            model, self._local = self._local, None
            await model.close()

    # Tasks

    def _spawn(self, work: Coroutine[object, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stop_by(error)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run our own part of a row; a fault of it ends the run after the others have drained."""
        try:
            step()
        except Exception as error:
            self._stop_by(error)

    def _stop_by(self, error: BaseException) -> None:
        self._crash = self._crash or error
        self._budget.halt()

    def _tell(self) -> None:
        self._progress.cost = self._budget.cost
        self._hook(self._progress)
