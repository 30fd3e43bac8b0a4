"""Measure a point whose variants each stay in a process of their own. Imports torch alone.

A process is started at the first point that has its variant, and serves the next ones, too. All are
made ready side by side, since imports, compilers and tuners take most of the time; one that is not
ready in time is ended and named. Then they are asked one at a time, first for memory and accuracy,
then in turns for the time of a step. clairkit, eager and the bare products have been through all of
it before a peer is started, and what is found is handed on at once: whenever the run is killed,
what was measured is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.variants import EAGER
from clairkit.bench.kernels.worker import (
    BARE,
    KernelSettings,
    Measured,
    Member,
    Planned,
    Timed,
    bare_name,
)
from clairkit.bench.measure.machine import core_count
from clairkit.bench.measure.timing import Times, turns
from clairkit.bench.measure.worker_process import ProcessOutcome, WorkerProcess, serve_object

_GRACE_SECONDS = 3.0  # of the last step after the deadline, and for a process to end in order
_FEWEST = 3  # rounds before times with peers replace those without
_OWN = ("clairkit", EAGER)

Found = dict[str, Measured]


@dataclass(frozen=True)
class PoolPoint:
    """What a pool measures, and until when."""

    case: KernelCase
    planned: Sequence[Planned]
    settings: KernelSettings
    truth: Path  # file of the reference
    deadline: float  # of `time.monotonic()`; nothing is begun after it


class VariantPool:
    """The processes of one point.

    Args:
        point: what is measured.
        say: takes progress.
        keep: takes everything found so far, whenever there is more of it.
        idle: processes of earlier points by variant; those of this one are there afterwards.
        preload: what the processes are forked with.
    """

    def __init__(
        self,
        point: PoolPoint,
        say: Callable[[str], None],
        keep: Callable[[Found, Timed | None], None],
        idle: dict[str, WorkerProcess],
        preload: Sequence[str] = (),
    ) -> None:
        self._point, self._say, self._keep, self._idle = point, say, keep, idle
        self._preload = preload
        self._limit = point.settings.ready_seconds  # to get ready, and for each answer after that
        self._groups = {one.name: one.group for one in point.planned}
        waiting = Measured(problem="its turn did not come", status="NOT MEASURED")
        self._found: Found = dict.fromkeys(self._groups, waiting)
        self._timed: Timed | None = None
        self._tilings: dict[int, str] = {}
        self._there: dict[str, WorkerProcess] = {}  # that are ready and sound
        self._new: set[str] = set()  # whose first answer, that they are made, is still to come

    def run(self) -> tuple[Found, Timed | None]:
        """Measure all of it; return what `keep` got last."""
        own = [name for name, group in self._groups.items() if group in _OWN]
        peers = [name for name in self._groups if name not in own]
        try:
            for names in ([BARE, *own], peers):
                self._prepare(names)
                for name in names:
                    self._check(name)
                if any(name in self._there for name in names):
                    self._time()
        except BaseException:
            end_all(self._there)
            raise
        self._rest()
        return self._found, self._timed

    def _rest(self) -> None:
        """Have the processes leave the memory to others, and keep them for the next point."""
        for worker in self._there.values():
            worker.ask("rest")
        for name, worker in self._there.items():
            outcome = worker.answer(self._patience())
            if outcome is None or outcome.problem:
                worker.end()
            else:
                self._idle[name] = worker

    def _prepare(self, names: Sequence[str]) -> None:
        """Start the processes, as many at a time as there are cores, and wait for them."""
        waiting, started = list(names), dict[str, float]()
        while started or (waiting and not self._over()):
            while waiting and len(started) < core_count():
                name = waiting.pop(0)
                self._start(name)
                started[name] = time.monotonic()
            until = min(min(started.values()) + self._limit, self._point.deadline)
            wait(
                [self._there[name].connection for name in started], max(until - time.monotonic(), 0)
            )
            for name, start in list(started.items()):
                outcome = self._there[name].answer(0)
                if name in self._new and outcome is not None and not outcome.problem:
                    self._new.discard(name)
                    outcome = self._there[name].answer(0)
                took = time.monotonic() - start
                if outcome is None and took < self._limit and not self._over():
                    continue
                del started[name]
                if outcome is None or outcome.problem:
                    cut = "" if took >= self._limit else ", when the time was over"
                    self._lose(name, outcome, f"not ready after {took:.0f} s{cut}")
                else:
                    self._say(f"{name}: ready after {took:.1f} s")

    def _start(self, name: str) -> None:
        point, worker = self._point, self._idle.pop(name, None)
        if worker is None:
            self._new.add(name)
            worker = WorkerProcess(serve_object, Member, point.settings, preload=self._preload)
        worker.ask("prepare", point.case, name, point.truth)
        self._there[name] = worker

    def _check(self, name: str) -> None:
        """Have the memory and the accuracy of a variant measured, or the bare tiles chosen."""
        if name not in self._there or self._over():
            return
        outcome = self._asked(name, "tilings" if name == BARE else "check")
        if outcome is None or outcome.problem:
            self._lose(name, outcome, self._late())
        elif name == BARE:
            self._tilings = outcome.value
        else:
            self._found[name] = outcome.value
            self._say(f"{name}: {_checked(outcome.value)}")
            if not outcome.value.passed:
                self._there.pop(name).end()
        self._keep(self._found, self._timed)

    def _time(self) -> None:
        """Time a step of each in turn, in an order that rotates from round to round."""
        settings, start, done = self._point.settings, time.monotonic(), 0
        asks = {bare_name(count): (BARE, count) for count in self._tilings if BARE in self._there}
        asks |= {name: (name, 0) for name, one in self._found.items() if one.passed}
        times, resting = Times({run: [] for run in asks}), set[str]()
        fewest = min(_FEWEST, settings.rounds) if self._timed else 1
        for index in range(settings.rounds):
            alive = [run for run in asks if run in times.seconds and run not in resting]
            for run in turns(alive, index):
                if not self._over():
                    self._turn(times, run, *asks[run])
                peer = self._groups.get(asks[run][0], EAGER) not in _OWN
                if peer and sum(times.seconds.get(run, ())) >= settings.patience:
                    resting.add(run)
            if self._over():
                break
            done += 1
            if done >= fewest:
                self._hand_on(times)
        if done or not self._timed:
            self._hand_on(times)
        self._say(f"timed in turns, {done} rounds, {time.monotonic() - start:.1f} s")

    def _turn(self, times: Times, run: str, name: str, count: int) -> None:
        outcome = self._asked(name, "seconds", count)
        if outcome is not None and not outcome.problem:
            times.seconds[run].append(outcome.value)
        elif outcome is None and self._over():  # what it has done so far stands
            self._there.pop(name).end()
        else:
            del times.seconds[run]
            self._lose(name, outcome, self._late())

    def _hand_on(self, times: Times) -> None:
        seconds = {run: list(found) for run, found in times.seconds.items() if found}
        tilings = {
            count: tiling for count, tiling in self._tilings.items() if bare_name(count) in seconds
        }
        self._timed = Timed(Times(seconds), tilings)
        self._keep(self._found, self._timed)

    def _asked(self, name: str, method: str, *arguments: Any) -> ProcessOutcome | None:
        if name not in self._there:
            return ProcessOutcome(problem="the process has ended")
        self._there[name].ask(method, *arguments)
        return self._there[name].answer(self._patience())

    def _patience(self) -> float:
        """Return the seconds that an answer may take now."""
        left = max(self._point.deadline - time.monotonic(), 0) + _GRACE_SECONDS
        return min(self._limit, left)

    def _late(self) -> str:
        return (
            "no step done when the time was over"
            if self._over()
            else (f"no step done in {self._limit:.0f} s")
        )

    def _lose(self, name: str, outcome: ProcessOutcome | None, late: str) -> None:
        """End a process that failed or, without an outcome, took too long."""
        lost = (
            Measured(problem=late, status="NOT READY")
            if outcome is None
            else Measured.failed(outcome)
        )
        self._say(f"{name}: left out, {lost.problem}")
        if name in self._there:
            self._there.pop(name).end()
        if name != BARE:
            self._found[name] = lost
        self._keep(self._found, self._timed)

    def _over(self) -> bool:
        return time.monotonic() >= self._point.deadline


def end_all(workers: dict[str, WorkerProcess]) -> None:
    """End processes, those first in order that wait for what to do."""
    for worker in workers.values():
        worker.dismiss()
    for worker in workers.values():
        worker.end(_GRACE_SECONDS)


def _checked(found: Measured) -> str:
    if found.accuracy is None or found.peak is None:
        return found.problem
    said = found.accuracy.problem or "right"
    return f"{said}, {found.peak.extra_bytes / 1e6:.0f} MB"
