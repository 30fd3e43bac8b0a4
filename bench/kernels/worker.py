"""Measure variants in the processes of the kernel suite.

Imports torch alone, and a peer that is measured.

On a CPU a point takes one process for each variant's memory and accuracy, and one in which all
variants and the bare products take turns to be timed. On a GPU each variant has one process, which
stays: `scheduler` asks them in turn.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.problem import Problem, Step
from clairkit.bench.kernels.products import Products, fastest
from clairkit.bench.kernels.truth import Accuracy, Reference, judge
from clairkit.bench.kernels.variants import KEPT, OURS, find_variant, variants
from clairkit.bench.measure.memory import limit_memory
from clairkit.bench.measure.timing import (
    Peak,
    Times,
    interleave,
    is_out_of_memory,
    peak_extra,
    timed_step,
)
from clairkit.bench.measure.worker_process import ProcessOutcome
from clairkit.kernels import choose_backend

# Below so many N*V*D a whole round goes before the counted ones; above, steps on a few tokens do.
_SMALL = 1e11


@dataclass(frozen=True)
class KernelSettings:
    device: str
    threads: int
    rounds: int = 3
    patience: float = 6.0  # seconds after which a peer sits out further rounds
    apart: bool = False  # each variant stays in a process of its own, as on a GPU
    ready_seconds: float = 45.0  # apart: for a variant to import, compile and tune

    def apply(self) -> torch.device:
        """Set this process up and return the device."""
        warnings.filterwarnings("ignore")  # those of peers; what matters comes as an error
        device = torch.device(self.device)
        # On a CPU a pool of compilers would run beside the measuring.
        compilers = 4 if device.type == "cuda" else 1
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(compilers))
        for name in ("TRITON_CACHE_AUTOTUNING", "QUACK_CACHE_AUTOTUNING"):
            os.environ.setdefault(name, "1")  # the next point of the same shape finds it done
        torch.set_num_threads(self.threads)
        limit_memory(device)
        return device


@dataclass(frozen=True)
class Planned:
    name: str
    group: str
    extra_bytes: float  # predicted, gradients left out


@dataclass(frozen=True)
class Measured:
    """A variant's memory and accuracy, or why there is none."""

    peak: Peak | None = None
    accuracy: Accuracy | None = None
    problem: str = ""
    status: Literal["ERROR", "OOM", "NOT READY", "NOT MEASURED"] = "ERROR"  # of one without

    @classmethod
    def failed(cls, outcome: ProcessOutcome) -> Measured:
        """Return what an outcome without a value says of a variant."""
        text = (outcome.problem.strip().splitlines() or [""])[0]
        if outcome.late:
            return cls(problem=text, status="NOT READY")
        return cls(problem=text, status="OOM" if outcome.out_of_memory else "ERROR")

    @property
    def passed(self) -> bool:
        """Tell whether it computes what it should, and may be timed."""
        return self.accuracy is not None and self.accuracy.passed


@dataclass(frozen=True)
class Timed:
    """Times of a point; `bare` by N*V*D count."""

    times: Times
    tilings: dict[int, str] = field(default_factory=dict)


BARE = "bare products"


def bare_name(count: int) -> str:
    """Return the name under which the bare products are timed."""
    return f"bare {count}"


def plan(
    cases: Sequence[KernelCase], settings: KernelSettings, peers: Sequence[str]
) -> dict[str, tuple[str, list[Planned]]]:
    """Return, by case, what `auto` takes and why, and the variants."""
    device = settings.apply()
    found = {}
    for case in cases:
        backend, reason = choose_backend(device, getattr(torch, case.dtype))
        planned = [
            Planned(variant.name, variant.group, variant.extra_bytes(case))
            for variant in variants(case, device, peers)
        ]
        found[case.name] = (f"{backend}: {reason}", planned)
    return found


def measure_variant(
    case: KernelCase, variant: str, settings: KernelSettings, truth: Path
) -> Measured:
    """Return a variant's peak extra memory in one step, and the errors of that very step.

    Args:
        case: what to measure.
        variant: its name.
        settings: of the run.
        truth: file of the right values.
    """
    member = Member(settings)
    member.prepare(case, variant, truth)
    return member.check()


def measure_times(
    case: KernelCase, names: Sequence[str], settings: KernelSettings, truth: Path
) -> Timed:
    """Time the variants and the bare products in turn.

    Args:
        case: what to measure.
        names: of the variants.
        settings: of the run.
        truth: file of the right values.
    """
    device = settings.apply()
    problem = Problem.build(case, device, Reference.load(truth).reference)
    steps, failed = {}, {}
    for name in names:
        try:
            steps[name] = warm(find_variant(name, case, device).load(), problem)
        except Exception as error:
            failed[name] = _text(error)
    return _time(case, problem, steps, failed, settings)


def measure_once(case: KernelCase, step: Step, problem: Problem, truth: Reference) -> Measured:
    """Return the peak extra memory of one step, and the errors of that very step.

    Args:
        case: what to measure.
        step: the variant's.
        problem: its tensors.
        truth: the right values.
    """
    device = problem.hidden.device
    if device.type == "cuda":
        step(problem)  # launch configurations are tried out at this size
        problem.drop_gradients()
    results: list[tuple[Tensor, Tensor]] = []
    peak = peak_extra(lambda: results.append(step(problem)), device)
    return Measured(peak, judge(case, problem, truth, *results[0]))


def warm(step: Step, problem: Problem) -> Step:
    """Run the step on a few tokens: libraries are loaded, and compilers have seen two lengths."""
    for few in problem.few_tokens():
        step(few)
        few.drop_gradients()
    return step


def _time(
    case: KernelCase,
    problem: Problem,
    steps: dict[str, Step],
    failed: dict[str, str],
    settings: KernelSettings,
) -> Timed:
    bare = {count: fastest(problem, count) for count in case.products}
    runs: dict[str, Callable[[], object]] = {
        bare_name(count): products.run for count, products in bare.items()
    }
    runs |= {name: partial(step, problem) for name, step in steps.items()}
    times = interleave(
        runs,
        rounds=settings.rounds,
        warmup=int(is_small(case)),
        device=problem.hidden.device,
        between=problem.drop_gradients,
        patience={name: settings.patience for name in steps if name not in (OURS, KEPT)},
    )
    times.failed.update(failed)
    return Timed(times, {count: str(products.tiling) for count, products in bare.items()})


def is_small(case: KernelCase) -> bool:
    """Tell whether a step takes so little that a whole one may go before those that count."""
    return case.tokens * case.vocabulary * case.hidden < _SMALL


def _text(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


class Member:
    """A variant, or the bare products, in this process, which is its own.

    Args:
        settings: how to measure.
    """

    def __init__(self, settings: KernelSettings) -> None:
        self._device = settings.apply()

    def prepare(self, case: KernelCase, name: str, truth: Path) -> None:
        """Get ready to be measured at a point: what is imported and compiled stays for the next."""
        if "torch._dynamo" in sys.modules:
            torch._dynamo.reset()  # or it gives up after some shapes, and runs uncompiled
        self._case, self._truth = case, Reference.load(truth)
        self._problem = Problem.build(case, self._device, self._truth.reference)
        self._bare: dict[int, Products] = {}
        self._step: Step = _no_step
        if name != BARE:
            self._step = find_variant(name, case, self._device).load()
            self._rehearse()
        self._tidy()

    def rest(self) -> None:
        """Leave the memory to the others until the next point."""
        self._bare.clear()
        del self._problem, self._step
        gc.enable()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def tilings(self) -> dict[int, str]:
        """Choose the tiles of the bare products, and return them by N*V*D count."""
        self._bare = {count: fastest(self._problem, count) for count in self._case.products}
        return {count: str(products.tiling) for count, products in self._bare.items()}

    def check(self) -> Measured:
        found = measure_once(self._case, self._step, self._problem, self._truth)
        self._tidy()
        gc.collect()
        gc.freeze()  # libraries; what steps leave is collected between them
        gc.disable()
        return found

    def seconds(self, count: int = 0) -> float:
        """Time a step of the variant, or the bare products of so many N*V*D."""
        run = self._bare[count].run if count else partial(self._step, self._problem)
        if self._device.type == "cuda" or is_small(self._case):
            run()  # another process had the GPU: its memory and its caches are at hand again
        found = timed_step(run, self._device, self._problem.drop_gradients)
        self._tidy()
        return found

    def _rehearse(self) -> None:
        if self._device.type != "cuda":
            warm(self._step, self._problem)
            return
        # At the size that is measured: another one would be compiled and tuned for nothing.
        try:
            self._step(self._problem)
        except Exception as error:
            if not is_out_of_memory(error):
                raise  # else: others rehearse at the same time; alone it may have room

    def _tidy(self) -> None:
        """Leave the memory to the others."""
        self._problem.drop_gradients()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.empty_cache()


def _no_step(_: Problem) -> tuple[Tensor, Tensor]:
    raise LookupError(f"{BARE} are no variant")
