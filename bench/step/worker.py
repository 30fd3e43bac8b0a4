"""Train one variant of the step suite in a process of its own, a step at a time."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback

# here, so that the process that all others are forked from imports it once
from transformers.models.llama import modeling_llama  # noqa: F401

from clairkit.bench.measure.timing import Peak, StopPeak, start_peak, synchronize
from clairkit.bench.measure.worker_process import ProcessOutcome, failed
from clairkit.bench.step.cases import StepCase
from clairkit.bench.step.trainers import Settings, make_trainer

# Largest number of a parameter's gradients that are compared, evenly spaced.
_SAMPLE = 4096
Wish = Literal["time", "memory", "gradients"]  # measured beside a step's time


@dataclass(frozen=True)
class StepReport:
    """What one step took and told."""

    seconds: float
    logs: Mapping[str, float]
    gradients: Mapping[str, Any] = field(default_factory=dict)  # numpy, a sample of each parameter
    gradient_bytes: int = 0
    memory: Peak | None = None


def serve(connection: Connection, case: StepCase, variant: str, settings: Settings) -> None:
    """Train the variant on the case, a step for each `step(wish)`, until nobody asks any more.

    Args:
        connection: to who asks.
        case: what to train.
        variant: its name.
        settings: of the run.
    """
    try:
        with tempfile.TemporaryDirectory() as output:
            trainer = make_trainer(variant, case, settings, output)
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(Gate(connection, torch.device(settings.device)))
            trainer.train()
    except EOFError:
        pass
    except Exception as error:
        connection.send(failed(error))


class Gate(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Lets one step pass for each message, and reports on it when it has been logged.

    Timed: from the Trainer's `on_step_begin` to its `on_step_end`, that is forward, loss, backward,
    clipping, optimizer and scheduler; not the making of the batch, nor logging.
    """

    def __init__(self, connection: Connection, device: torch.device) -> None:
        self.connection, self.device = connection, device
        self.wish, self.started, self.seconds = "", 0.0, 0.0
        self.stop_peak: StopPeak | None = None
        self.peak: Peak | None = None
        self.gradients: dict[str, Any] = {}
        self.gradient_bytes = 0

    def on_train_begin(self, *_: object, **__: object) -> None:
        self.connection.send(ProcessOutcome())

    def on_step_begin(self, *_: object, **__: object) -> None:
        _, (self.wish,) = self.connection.recv()
        gc.collect()
        gc.disable()
        if self.wish == "memory":
            self.stop_peak = start_peak(self.device)
        synchronize(self.device)
        self.started = time.perf_counter()

    def on_pre_optimizer_step(self, *_: object, model: nn.Module, **__: object) -> None:
        if self.wish == "gradients":
            found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            self.gradient_bytes = sum(gradient.nbytes for gradient in found.values())
            self.gradients = {name: sample(gradient) for name, gradient in found.items()}

    def on_step_end(self, *_: object, **__: object) -> None:
        synchronize(self.device)
        self.seconds = time.perf_counter() - self.started
        self.peak = self.stop_peak() if self.stop_peak else None
        self.stop_peak = None
        gc.enable()

    def on_log(self, *_: object, logs: Mapping[str, float], **__: object) -> None:
        report = StepReport(
            self.seconds, dict(logs), self.gradients, self.gradient_bytes, self.peak
        )
        self.gradients = {}
        self.connection.send(ProcessOutcome(report))


def sample(gradient: Tensor) -> Any:
    """Return evenly spaced entries of a gradient as a numpy array: tensors need shared memory."""
    flat = gradient.detach().flatten()
    return flat[:: max(len(flat) // _SAMPLE, 1)].float().cpu().numpy().copy()
