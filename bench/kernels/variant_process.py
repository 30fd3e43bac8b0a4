"""Measure one variant, point after point, in a process that is its own.

Imports torch alone, and the peer it is.
"""

from __future__ import annotations

import gc
import sys
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
    """A variant, or the bare products, in this process, which is its own.

    Args:
        settings: how to measure.
    """

    def __init__(self, settings: KernelSettings) -> None:
        self._device = settings.apply()

    def prepare(self, case: KernelCase, name: str, truth: Path) -> None:
        """Get ready to be measured at a point: what is imported and compiled stays for the next.

        Args:
            case: the point.
            name: a variant's name, or `BARE`; always the same one.
            truth: file of the point's reference.
        """
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
