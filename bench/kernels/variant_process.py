"""What runs in the process of a variant that stays. Imports torch alone, and the peer it is."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.problem import Problem
from clairkit.bench.kernels.products import Products, fastest
from clairkit.bench.kernels.truth import Reference
from clairkit.bench.kernels.variant import Step
from clairkit.bench.kernels.variants import find_variant
from clairkit.bench.kernels.worker import (
    BARE,
    KernelSettings,
    Measured,
    is_small,
    measure_once,
    warm,
)
from clairkit.bench.measure.timing import is_out_of_memory, timed_step


class Member:
    """A variant, or the bare products, ready to be measured in this process, which is its own.

    Args:
        case: the point.
        name: a variant's name, or `BARE`.
        settings: how to measure.
        truth: file of the point's reference.
    """

    def __init__(self, case: KernelCase, name: str, settings: KernelSettings, truth: Path) -> None:
        self._device = settings.apply()
        self._case, self._truth = case, Reference.load(truth)
        self._problem = Problem.build(case, self._device, self._truth.reference)
        self._bare: dict[int, Products] = {}
        self._step: Step = _no_step
        if name != BARE:
            self._step = find_variant(name, case, self._device).load()
            self._rehearse()
        self._tidy()

    def tilings(self) -> dict[int, str]:
        """Choose the tiles of the bare products, and return them by N*V*D count."""
        self._bare = {count: fastest(self._problem, count) for count in self._case.products}
        return {count: str(products.tiling) for count, products in self._bare.items()}

    def check(self) -> Measured:
        """Measure the variant's memory and accuracy."""
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
