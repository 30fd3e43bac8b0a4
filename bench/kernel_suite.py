"""The kernel suite: head and loss of every variant, point by point. Imports torch alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clairkit.bench.isolate import Outcome, run_apart
from clairkit.bench.kernel_cases import KernelCase
from clairkit.bench.kernel_reference import write_reference
from clairkit.bench.kernel_results import entry, point_json
from clairkit.bench.kernel_worker import (
    KernelSettings,
    Measured,
    Planned,
    Timed,
    measure_point,
    measure_times,
    measure_variant,
    plan,
)
from clairkit.bench.memory import available_bytes
from clairkit.bench.peers import PEERS, absence

_GB = 1e9
_SHARE = 0.8  # of the memory that is free; a prediction is no measurement
Say = Callable[[str], None]
Found = tuple[dict[str, Measured], Timed | None, str]


@dataclass(frozen=True)
class KernelSuite:
    """The points, how to measure them, and the peers to measure."""

    cases: Sequence[KernelCase]
    settings: KernelSettings
    peers: Sequence[str] = ()

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return torch.device(self.settings.device)

    def absent(self) -> dict[str, str]:
        """Return why each peer that can't be measured here can't."""
        reasons = {name: absence(name, self.device) for name in self.peers}
        return {name: reason for name, reason in reasons.items() if reason}

    def run(
        self, say: Say, *, done: Mapping[str, dict[str, Any]], deadline: float
    ) -> Iterator[dict[str, Any]]:
        """Measure point after point; what fails in one leaves the others.

        Args:
            say: takes progress.
            done: points that are there already, by case.
            deadline: of `time.monotonic()`; no point is begun after it.
        """
        over = time.monotonic() > deadline
        wanted = [case for case in self.cases if case.name not in done and not over]
        planned = (
            self._apart(plan, wanted, self.settings, list(self.peers)) if wanted else Outcome()
        )
        if planned.problem:
            raise RuntimeError(f"the variants can't be listed: {planned.problem}")
        with tempfile.TemporaryDirectory() as folder:
            for index, case in enumerate(self.cases, 1):
                place = f"[{index}/{len(self.cases)}] {case.name}"
                if case.name in done:
                    say(f"{place}: there already")
                    yield done[case.name]
                elif time.monotonic() > deadline:
                    say(f"{place}: left out, the time is over")
                else:
                    say(f"{place}: {case.describe()}")
                    backend, variants = planned.value[case.name]
                    yield self._point(case, backend, variants, Path(folder))

    def _point(
        self, case: KernelCase, backend: str, variants: list[Planned], folder: Path
    ) -> dict[str, Any]:
        # The truth is the same for a frozen and a trained head.
        truth = folder / f"{case.vocabulary}-{case.hidden}-{case.tokens}-{case.dtype}.pt"
        if not truth.exists():
            made = self._apart(write_reference, case, self.settings.device, truth)
            if made.problem:
                lost = Measured(problem=f"no float64 reference: {made.problem}")
                entries = [entry(one, lost, None, "") for one in variants]
                return point_json(case, backend, entries, None)
        found = {one.name: too_large for one in variants
                 if (too_large := self._too_large(case, one)) is not None}  # fmt: skip
        names = [one.name for one in variants if one.name not in found]
        measured, timed, lost_times = self._measure(case, names, truth)
        found |= measured
        entries = [entry(one, found[one.name], timed, lost_times) for one in variants]
        return point_json(case, backend, entries, timed)

    def _measure(self, case: KernelCase, names: list[str], truth: Path) -> Found:
        if self.device.type == "cuda":
            together = self._apart(measure_point, case, names, self.settings, truth)
            if together.value is not None:
                return (*together.value, "")
            # One variant ended the process: find out which, each in a process of its own.
        found = {name: _measured(self._apart(measure_variant, case, name, self.settings, truth))
                 for name in names}  # fmt: skip
        sound = [name for name, one in found.items() if one.accuracy and one.accuracy.passed]
        timed = self._apart(measure_times, case, sound, self.settings, truth)
        return found, timed.value, timed.problem

    def _too_large(self, case: KernelCase, variant: Planned) -> Measured | None:
        """Return the failure of a variant that needs more memory than there is."""
        free = None if self.device.type == "cuda" else available_bytes(self.device)
        needed = variant.extra_bytes + case.gradient_bytes + case.input_bytes
        if free is None or needed <= _SHARE * free:
            return None
        text = f"predicted, not run: {needed / _GB:.0f} GB needed, {free / _GB:.0f} GB free"
        return Measured(problem=text, out_of_memory=True)

    def _apart(self, task: Callable[..., Any], *arguments: Any) -> Outcome:
        return run_apart(task, *arguments, preload=self._preload())

    def _preload(self) -> tuple[str, ...]:
        """Return what the processes are forked with; no peer on a GPU, lest it touches that."""
        worker = "clairkit.bench.kernel_worker"
        if self.device.type == "cuda":
            return (worker,)
        there = [name for name in self.peers if not absence(name, self.device)]
        return (worker, *(module for name in there for module in PEERS[name].preload))


def _measured(outcome: Outcome) -> Measured:
    if outcome.value is None:
        return Measured(problem=outcome.problem, out_of_memory=outcome.out_of_memory)
    found: Measured = outcome.value
    return found
