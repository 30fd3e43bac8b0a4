"""Run the step suite: training steps of clairkit's trainer and of others, case by case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from clairkit.bench.measure.timing import turns
from clairkit.bench.measure.worker_process import ProcessOutcome, WorkerProcess
from clairkit.bench.results import CaseResult, Status, VariantResult
from clairkit.bench.step.cases import StepCase
from clairkit.bench.step.parity import TOLERANCES, Parity, StepResult, compare
from clairkit.bench.step.trainers import FORMS, PLAIN, TRL, Settings
from clairkit.bench.step.worker import StepReport, Wish, serve

PEERS: Mapping[str, tuple[str, ...]] = {"trl": tuple(TRL), "plain": tuple(PLAIN)}
# The least that the first steps must move the loss, for equal losses to say something.
_MOVED = 1e-4
_PRELOAD = ("clairkit.bench.step.worker",)
_GRACE_SECONDS = 10.0  # in which a training tidies up its folder


@dataclass(frozen=True)
class StepSuite:
    """The cases, how to measure them, and what to measure beside clairkit's trainer.

    The first of `peers` is what the others are checked against and their figures set in relation
    to. `kernels` are measured beside the one that clairkit takes by itself. `only`, when not empty,
    names the variants to measure, for machines that can't hold all of a case at once.
    """

    cases: Sequence[StepCase]
    settings: Settings
    peers: Sequence[str] = ("plain",)
    kernels: Sequence[str] = ()
    only: Sequence[str] = ()

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of all variants, the base first."""
        peers = [variant for peer in self.peers for variant in PEERS[peer]]
        ours = [f"clairkit {kernel}" for kernel in self.kernels if kernel != "auto"]
        names = tuple(dict.fromkeys((*peers, *FORMS, *ours)))
        return tuple(name for name in names if name in self.only) if self.only else names

    def run(self, say: Callable[[str], None] = lambda text: None) -> Iterator[CaseResult]:
        """Measure case after case; what fails in one leaves the others."""
        for index, case in enumerate(self.cases, 1):
            say(f"[{index}/{len(self.cases)}] {case.name}: {case.describe()}")
            yield measure_case(case, self.variants, self.settings)


def measure_case(case: StepCase, variants: Sequence[str], settings: Settings) -> CaseResult:
    """Measure the variants of a case; the first is the base."""
    found = _Case(case, settings, base=variants[0])
    try:
        for name in variants:
            found.start(name)
        found.check()
        for name in found.alive:
            found.measure_memory(name)
        for index in range(settings.rounds):
            for name in turns(found.alive, index):
                found.measure_time(name)
    finally:
        found.close()
    results = tuple(found.results[name] for name in variants)
    return CaseResult(case, results, variants[0], found.gradient_bytes)


class _Case:
    """The variants of a case that still run, and what was found so far."""

    def __init__(self, case: StepCase, settings: Settings, base: str) -> None:
        self.case, self.settings, self.base = case, settings, base
        self.processes: dict[str, WorkerProcess] = {}
        self.results: dict[str, VariantResult] = {}
        self.reports: dict[str, list[StepReport]] = {}
        self.gradient_bytes = 0

    @property
    def alive(self) -> list[str]:
        return list(self.processes)

    def start(self, name: str) -> None:
        """Start the variant's training and take its first steps."""
        self.results[name] = VariantResult(name)
        self.processes[name] = WorkerProcess(
            serve, self.case, name, self.settings, preload=_PRELOAD
        )
        if self._answer(name).problem:
            return
        reports = [self._step(name, "time") for _ in range(self.settings.warmup - 1)]
        reports.append(self._step(name, "gradients"))
        self.reports[name] = [report for report in reports if report is not None]

    def check(self) -> None:
        """Compare the first steps of every variant with the base's; end those that differ."""
        base = self.reports[self.base] if self.base in self.processes else None
        for name in self.alive:
            reports = self.reports[name]
            self.gradient_bytes = max(self.gradient_bytes, reports[-1].gradient_bytes)
            if name == self.base:
                continue
            self.results[name] = checked(name, self.case, reports, base)
            if self.results[name].status == "PARITY FAILED":
                self._end(name)

    def measure_memory(self, name: str) -> None:
        report = self._step(name, "memory")
        if report is not None:
            self.results[name] = replace(self.results[name], memory=report.memory)

    def measure_time(self, name: str) -> None:
        report = self._step(name, "time")
        if report is not None:
            seconds = (*self.results[name].seconds, report.seconds)
            self.results[name] = replace(self.results[name], seconds=seconds)

    def close(self) -> None:
        for name in self.alive:
            self._end(name)

    def _step(self, name: str, wish: Wish) -> StepReport | None:
        if name not in self.processes:
            return None
        self.processes[name].ask("step", wish)
        report: StepReport | None = self._answer(name).value
        return report

    def _answer(self, name: str) -> ProcessOutcome:
        """Return the process's next outcome; one that failed is the variant's result."""
        outcome = self.processes[name].answer(None) or ProcessOutcome(problem="no answer")
        if outcome.problem:
            self._end(name)
            self.results[name] = lost(name, outcome)
        return outcome

    def _end(self, name: str) -> None:
        process = self.processes.pop(name)
        process.dismiss()
        process.end(_GRACE_SECONDS)


def checked(
    name: str, case: StepCase, reports: Sequence[StepReport], base: Sequence[StepReport] | None
) -> VariantResult:
    """Return the variant's result before any time: whether its first steps are the base's.

    Args:
        name: of the variant.
        case: what was trained.
        reports: of its first steps.
        base: of the base's; None where there is none.
    """
    if base is None:
        return VariantResult(name, "unchecked", problem="nothing to compare with")
    parity = parity_of(case, reports, base)
    status: Status = "ok" if parity.passed else "PARITY FAILED"
    return VariantResult(name, status, parity=parity, problem=parity.problem)


def parity_of(case: StepCase, reports: Sequence[StepReport], base: Sequence[StepReport]) -> Parity:
    """Compare the last of the reports with the last of the base's.

    Loss, log-probs and gradients are those of a step whose policy has left the reference: at the
    first step `apo_zero` is 1.0 whatever a variant computes.
    """
    pairs = case.lengths
    tokens = torch.tensor(
        [sum(getattr(pair, side) for pair in pairs) / len(pairs) for side in ("chosen", "rejected")]
    )
    found = compare(_result(reports[-1]), _result(base[-1]), tokens, TOLERANCES[case.dtype])
    moved = abs(base[-1].logs["loss"] - base[0].logs["loss"])
    if found.passed and not moved > _MOVED:
        return replace(found, problem=f"the loss moved by {moved:.1e}: too little to be compared")
    return found


def _result(report: StepReport) -> StepResult:
    """Return a report as parity has it, the gradients as they were before clipping to norm 1."""
    norm = report.logs["grad_norm"]
    gradients: dict[str, Any] = {
        name: torch.from_numpy(values) * max(norm, 1.0) for name, values in report.gradients.items()
    }
    logps = torch.tensor([report.logs["logps/chosen"], report.logs["logps/rejected"]])
    return StepResult(report.logs["loss"], logps, gradients)


def lost(name: str, outcome: ProcessOutcome) -> VariantResult:
    """Return the result of a variant that ended early."""
    status: Status = "OOM" if outcome.out_of_memory else "ERROR"
    return VariantResult(name, status, problem=outcome.problem)
