"""The step suite: one training step of clairkit against a plain one, case by case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from clairkit.bench.cases import StepCase
from clairkit.bench.isolate import Outcome, run_apart
from clairkit.bench.measure import Peak
from clairkit.bench.results import BASE, CaseResult, Status, VariantResult
from clairkit.bench.step_worker import (
    TRIMMED,
    Settings,
    measure_memory,
    measure_times,
    our_variant,
)
from clairkit.kernels import choose_backend

_PRELOAD = ("clairkit.bench.step_worker",)


@dataclass(frozen=True)
class StepSuite:
    """The cases, how to measure them, and the kernels of clairkit to measure."""

    cases: Sequence[StepCase]
    settings: Settings
    kernels: Sequence[str] = ("auto", "torch")

    def variants(self, case: StepCase) -> tuple[str, ...]:
        """Return the names of a case's variants, none twice; `auto` goes by what it takes."""
        device, dtype = torch.device(self.settings.device), getattr(torch, case.dtype)
        chosen = [
            choose_backend(device, dtype)[0] if kernel == "auto" else kernel
            for kernel in self.kernels
        ]
        return tuple(dict.fromkeys((BASE, TRIMMED, *map(our_variant, chosen))))

    def run(self, say: Callable[[str], None] = lambda text: None) -> Iterator[CaseResult]:
        """Measure case after case; what fails in one leaves the others."""
        for index, case in enumerate(self.cases, 1):
            say(f"[{index}/{len(self.cases)}] {case.name}: {case.describe()}")
            yield self._case(case)

    def _case(self, case: StepCase) -> CaseResult:
        variants = self.variants(case)
        memory = {name: run_apart(measure_memory, case, name, self.settings, preload=_PRELOAD)
                  for name in variants}  # fmt: skip
        fitting = tuple(name for name in variants if not memory[name].problem)
        timed = run_apart(measure_times, case, fitting, self.settings, preload=_PRELOAD)
        gradients = [found.value[1] for found in memory.values() if found.value is not None]
        results = []
        for name in variants:
            if name not in fitting:
                results.append(_lost(name, memory[name]))
                continue
            peak: Peak = memory[name].value[0]
            found = timed.value[name] if timed.value is not None else _lost(name, timed)
            results.append(found.with_memory(peak))
        return CaseResult(case, tuple(results), max(gradients, default=0))


def _lost(name: str, outcome: Outcome) -> VariantResult:
    status: Status = "OOM" if outcome.out_of_memory else "ERROR"
    return VariantResult(name, status, problem=outcome.problem)
