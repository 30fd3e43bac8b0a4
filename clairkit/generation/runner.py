"""Runs one step over its tasks: bounded concurrency, each result journalled as it arrives."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from clairkit.errors import ClairError
from clairkit.generation.journal import Entry, Journal
from clairkit.generation.reasons import HALTED
from clairkit.generation.requests import Control, Model, Task
from clairkit.generation.sampling import Failure, Outcome


@dataclass
class Progress:
    """How far a step is. Handed to the caller after each result; not to be kept."""

    step: str
    total: int
    done: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failures: Counter[str] = field(default_factory=Counter)


ProgressHook = Callable[[Progress], None]


async def run_step(
    step: str,
    tasks: Sequence[Task],
    model: Model,
    journal: Journal,
    control: Control,
    progress: ProgressHook,
) -> None:
    """Run the tasks that the journal has no result of.

    Batches are formed over all tasks, so that a resumed run has the same ones.
    """
    finished = journal.finished(step)
    unique = {task.key: task for task in tasks}
    state = Progress(step, len(unique), done=len(finished & unique.keys()))
    batches = _batches(list(unique.values()), model.batch_size)
    open_batches = (b for b in batches if any(task.key not in finished for task in b))

    async def work() -> None:
        for batch in open_batches:
            outcomes = await _complete(model, batch, control)
            entries = [
                Entry(task.key, step, model.name, _storable(outcome))
                for task, outcome in zip(batch, outcomes, strict=True)
                if task.key not in finished and not _is_halted(outcome)
            ]
            await journal.record(entries)
            _count(state, entries)
            progress(state)
            if control.halted:
                return

    async def guarded() -> None:
        try:
            if not control.halted:
                await work()
        except BaseException:  # the others drain, too
            control.halt()
            raise

    progress(state)
    workers = (guarded() for _ in range(model.concurrency))
    results = await asyncio.gather(*workers, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _complete(model: Model, batch: Sequence[Task], control: Control) -> list[Outcome]:
    """The outcomes of a batch; an error of the whole run lets the other workers drain."""
    try:
        return await model.complete(batch, control)
    except ClairError as error:
        control.halt(error=error)
        return [Failure(HALTED)] * len(batch)


def _batches(tasks: Sequence[Task], size: int) -> list[Sequence[Task]]:
    """Tasks of like length together, when there are batches at all."""
    ordered = list(tasks)
    if size > 1:
        ordered.sort(key=lambda task: (-sum(len(m["content"]) for m in task.messages), task.key))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _storable(outcome: Outcome) -> Outcome:
    """A result that UTF-8 can hold: a lone surrogate makes it a failure."""
    rationale = getattr(outcome, "rationale", None) or ""
    try:
        (outcome.text + rationale).encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(error.object[error.start]):04X}"
        text = outcome.text.encode("utf-8", "backslashreplace").decode()
        spent = (outcome.prompt_tokens, outcome.completion_tokens, outcome.tries)
        return Failure("bad_unicode", f"lone surrogate {code}", text, *spent)
    if isinstance(outcome, Failure):
        detail = outcome.detail.encode("utf-8", "backslashreplace").decode()
        return replace(outcome, detail=detail)
    return outcome


def _is_halted(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) and outcome.reason == HALTED


def _count(state: Progress, entries: Sequence[Entry]) -> None:
    for entry in entries:
        state.done += 1
        state.prompt_tokens += entry.outcome.prompt_tokens
        state.completion_tokens += entry.outcome.completion_tokens
        if isinstance(entry.outcome, Failure):
            state.failures[entry.outcome.reason] += 1


@contextmanager
def drain_on_signals(control: Control, say: Callable[[str], None]) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM drains; a second one leaves at once. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def stop(number: int) -> None:
        if control.halted:
            if main is not None:
                main.cancel()
            return
        control.halt(signal=number)
        say("Stopping: what is under way is waited for and kept. Once more to leave at once.")

    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, earlier[number])
