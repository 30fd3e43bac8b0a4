"""A training that waits in a process of its own and takes one step when told to.

So variants take turns step by step, and yet none shares memory, threads or patched libraries with
another.
"""

from __future__ import annotations

import multiprocessing
from typing import Any, Literal

from clairkit.bench.measure.isolate import ProcessOutcome, ended
from clairkit.bench.step.step_report import StepReport

Wish = Literal["time", "memory", "gradients"]
_PRELOAD = ("clairkit.bench.step.worker",)
_GRACE_SECONDS = 10


class VariantLost(Exception):
    """A variant's process failed or ended; `outcome` says why."""

    def __init__(self, outcome: ProcessOutcome) -> None:
        super().__init__(outcome.problem)
        self.outcome = outcome


class StepProcess:
    """The training of one variant, up to its next step.

    Args:
        case: the case.
        variant: its name.
        settings: of the worker.

    Raises:
        VariantLost: the training could not be set up.
    """

    def __init__(self, case: Any, variant: str, settings: Any) -> None:
        from clairkit.bench.step.worker import serve

        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOAD))
        self._ours, theirs = context.Pipe()
        arguments = (theirs, case, variant, settings)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._receive()  # it is at its first step

    def step(self, wish: Wish = "time") -> StepReport:
        """Take a step; measure what was wished for beside its time.

        Raises:
            VariantLost: the step failed, or the process ended.
        """
        try:
            self._ours.send(wish)
        except OSError:
            self._lose()
        report: StepReport = self._receive()
        return report

    def close(self) -> None:
        """End the process; it tidies up when it finds that nobody listens."""
        self._ours.close()
        self._process.join(_GRACE_SECONDS)
        self._process.kill()
        self._process.join()

    def _receive(self) -> Any:
        try:
            outcome: ProcessOutcome = self._ours.recv()
        except (EOFError, OSError):
            self._lose()
        if outcome.problem:
            self.close()
            raise VariantLost(outcome)
        return outcome.value

    def _lose(self) -> None:
        self._process.join()
        code = self._process.exitcode
        self.close()
        raise VariantLost(ended(code))
