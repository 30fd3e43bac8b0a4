"""Run the kernel suite: head and loss of every variant, point by point. Imports torch alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.results import point_json
from clairkit.bench.kernels.scheduler import PoolPoint, VariantPool, end_all
from clairkit.bench.kernels.truth import write_reference
from clairkit.bench.kernels.worker import (
    KernelSettings,
    Measured,
    Planned,
    Timed,
    measure_times,
    measure_variant,
    plan,
)
from clairkit.bench.measure.memory import available_bytes
from clairkit.bench.measure.worker_process import ProcessOutcome, WorkerProcess, run_apart
from clairkit.bench.peers import PEERS, TORCH_OWN, absence, torch_lacks

_GB = 1e9
_SHARE = 0.8  # of the memory that is free; a prediction is no measurement
_LEAST_SECONDS = 10.0  # in which a point can come to something
Say = Callable[[str], None]
Point = dict[str, Any]


@dataclass(frozen=True)
class _Work:
    """A point that is being measured."""

    case: KernelCase
    backend: str  # what `auto` takes and why
    variants: Sequence[Planned]
    say: Say
    keep: Callable[[Point], None]
    deadline: float

    def point(self, found: Mapping[str, Measured], timed: Timed | None, lost: str = "") -> Point:
        """Return the point with what was found of each variant."""
        return point_json(self.case, self.backend, self.variants, found, timed, lost)


@dataclass(frozen=True)
class KernelSuite:
    """The points, how to measure them, and the peers to measure."""

    cases: Sequence[KernelCase]
    settings: KernelSettings
    peers: Sequence[str] = ()

    @property
    def device(self) -> torch.device:
        return torch.device(self.settings.device)

    def absent(self) -> dict[str, str]:
        """Return why each peer, or a part of it, that can't be measured here can't."""
        reasons = {name: absence(name, self.device) for name in self.peers}
        if "torch" in self.peers:
            reasons[TORCH_OWN] = torch_lacks()
        return {name: reason for name, reason in reasons.items() if reason}

    def run(
        self, say: Say, keep: Callable[[Point], None], *, done: Mapping[str, Point], deadline: float
    ) -> Iterator[Point]:
        """Measure point after point; what fails in one leaves the others.

        Args:
            say: takes progress.
            keep: takes a point that is not finished, whenever there is more of it.
            done: points that are there already, by case.
            deadline: of `time.monotonic()`; no point is begun after it, and with variants apart
                nothing at all.

        Raises:
            RuntimeError: the variants can't be listed.
        """
        begin = deadline - _LEAST_SECONDS if self.settings.apart else deadline
        over = time.monotonic() > begin
        wanted = [case for case in self.cases if case.name not in done and not over]
        planned = (
            self._apart(plan, wanted, self.settings, list(self.peers))
            if wanted
            else ProcessOutcome()
        )
        if planned.problem:
            raise RuntimeError(f"the variants can't be listed: {planned.problem}")
        left: list[str] = []
        idle: dict[str, WorkerProcess] = {}
        try:
            with tempfile.TemporaryDirectory() as folder:
                for index, case in enumerate(self.cases, 1):
                    place = f"[{index}/{len(self.cases)}] {case.name}"
                    if case.name in done:
                        say(f"{place}: there already")
                        yield done[case.name]
                    elif time.monotonic() > begin:
                        left.append(case.name)
                    else:
                        say(f"{place}: {case.describe()}")
                        backend, variants = planned.value[case.name]
                        work = _Work(case, backend, variants, say, keep, deadline)
                        yield self._point(work, Path(folder), idle)
        finally:
            end_all(idle)
        if left:
            say(f"the time is over, left out: {', '.join(left)}")

    def _point(self, work: _Work, folder: Path, idle: dict[str, WorkerProcess]) -> Point:
        case = work.case
        # The truth is the same for a frozen and a trained head.
        truth = folder / f"{case.vocabulary}-{case.hidden}-{case.tokens}-{case.dtype}.pt"
        if not truth.exists():
            start, limit = time.monotonic(), None
            if self.settings.apart:
                limit = min(self.settings.ready_seconds, max(work.deadline - start, 1))
            made = self._apart(write_reference, case, self.settings.device, truth, seconds=limit)
            if made.problem:
                lost = Measured.failed(replace(made, problem=f"float64 reference: {made.problem}"))
                return work.point(dict.fromkeys((one.name for one in work.variants), lost), None)
            work.say(f"float64 reference: {time.monotonic() - start:.1f} s")
        found = {
            one.name: too_large
            for one in work.variants
            if (too_large := self._too_large(case, one)) is not None
        }
        fitting = [one for one in work.variants if one.name not in found]
        if self.settings.apart:
            pool = VariantPool(
                PoolPoint(case, fitting, self.settings, truth, work.deadline),
                work.say,
                lambda some, timed: work.keep(work.point(found | some, timed)),
                idle,
                self._preload(),
            )
            measured, timed = pool.run()
            return work.point(found | measured, timed)
        return self._in_one_process(work, [one.name for one in fitting], found, truth)

    def _in_one_process(
        self, work: _Work, names: list[str], found: dict[str, Measured], truth: Path
    ) -> Point:
        for name in names:
            start = time.monotonic()
            outcome = self._apart(measure_variant, work.case, name, self.settings, truth)
            one: Measured = outcome.value or Measured.failed(outcome)
            found[name] = one
            said = "memory and accuracy" if one.accuracy else one.problem
            work.say(f"{name}: {said}, {time.monotonic() - start:.1f} s")
        sound = [name for name, one in found.items() if one.passed]
        start = time.monotonic()
        timed = self._apart(measure_times, work.case, sound, self.settings, truth)
        work.say(f"timed in turns, {time.monotonic() - start:.1f} s")
        return work.point(found, timed.value, timed.problem)

    def _too_large(self, case: KernelCase, variant: Planned) -> Measured | None:
        """Return the failure of a variant that needs more memory than there is."""
        free = None if self.device.type == "cuda" else available_bytes(self.device)
        needed = variant.extra_bytes + case.gradient_bytes + case.input_bytes
        if free is None or needed <= _SHARE * free:
            return None
        text = f"predicted, not run: {needed / _GB:.0f} GB needed, {free / _GB:.0f} GB free"
        return Measured(problem=text, status="OOM")

    def _apart(
        self, task: Callable[..., Any], *arguments: Any, seconds: float | None = None
    ) -> ProcessOutcome:
        return run_apart(task, *arguments, preload=self._preload(), seconds=seconds)

    def _preload(self) -> tuple[str, ...]:
        """Return what the processes are forked with; no peer on a GPU, lest it touches that."""
        worker = "clairkit.bench.kernels.worker"
        if self.device.type == "cuda":
            return (worker,)
        there = [name for name in self.peers if not absence(name, self.device)]
        return (worker, *(module for name in there for module in PEERS[name].preload))
