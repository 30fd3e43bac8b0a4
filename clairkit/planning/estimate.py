"""Estimate a run from a step without memory: peak by part, time and cost, each with its error."""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from clairkit.batching import EncodedPair
from clairkit.kernels.options import budget_bytes
from clairkit.planning.devices import Device
from clairkit.planning.simulate import Step, form_of, simulate_step
from clairkit.planning.trace import ACTIVATIONS
from clairkit.planning.work import Work, work_of
from clairkit.training.config import TrainConfig
from clairkit.training.memory import resident_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# How far above the plan a measured peak was, at most (docs/plan.md): on a CPU the C library keeps
# freed blocks.
MEMORY_ERROR = 0.45
# What a CUDA context and its libraries take beside tensors. Assumed, not measured.
CUDA_RUNTIME = 600 << 20
# Share of a vendor's peak rate that training reaches. Assumed, not measured.
EFFICIENCY = (0.2, 0.5)
# How far a rate that was given or measured on a few layers may be off for a whole run.
RATE_ERROR = 0.25
# Bytes of the reference and of the edit mask for each response token, in host memory.
_CACHE_BYTES = 4 + 1
# Reads and writes of an optimizer's step, in bytes a trained parameter: weight, gradient, moments.
_UPDATE_BYTES = 28


class Bounds(NamedTuple):
    """A number that lies between two."""

    low: float
    high: float

    def times(self, factor: float) -> Bounds:
        return Bounds(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Rate:
    """Floating-point operations a second, and where they are known from."""

    flops: Bounds
    source: str


@dataclass(frozen=True)
class Memory:
    """Peak memory by part, in bytes."""

    parts: Mapping[str, int]
    phase: str  # when it is reached
    host: int  # reference cache in host memory; on a CPU it is among the parts

    @property
    def total(self) -> int:
        return sum(self.parts.values())


@dataclass(frozen=True)
class Plan:
    """What a run will take."""

    memory: Memory
    work: Work
    step: Step
    form: str
    flops: float  # of the whole run
    seconds: Bounds | None
    step_seconds: Bounds | None
    reference_seconds: Bounds | None
    rate: Rate | None


def plan_run(
    settings: PreTrainedConfig,
    config: TrainConfig,
    pairs: Sequence[EncodedPair],
    device: Device,
    *,
    runtime: int,
    rate: Rate | None = None,
) -> Plan:
    """Return what a run takes; no weight is loaded.

    Args:
        settings: the model's configuration, see `load_settings`.
        config: of the run.
        pairs: its training pairs, as token ids.
        device: where it will run.
        runtime: bytes of the libraries, see `runtime_bytes`.
        rate: operations a second; None: the device's data sheet, or no time at all.

    Raises:
        UsageError: a model, adapter or optimizer that can't be made.
    """
    form = form_of(config, settings)
    work = work_of(pairs, config, form, device.kind)
    if config.memory_budget is None:
        config = replace(config, memory_budget=budget_bytes(None, torch.device(device.kind)))
    step = simulate_step(settings, config, work)
    rate = rate or sheet_rate(device, config)
    reference = _reference_flops(step, work) if config.reference.kind != "cache" else 0.0
    training = _step_flops(step, work) * work.steps
    memory = _memory(step, pairs, device, runtime)
    if rate is None:
        return Plan(memory, work, step, form, reference + training, None, None, None, None)
    per_step = _seconds(training / work.steps, rate)
    if device.bandwidth:
        update = step.trainable * _UPDATE_BYTES / device.bandwidth
        per_step = Bounds(per_step.low + update, per_step.high + update / EFFICIENCY[0])
    first = _seconds(reference, rate)
    total = Bounds(first.low + per_step.low * work.steps, first.high + per_step.high * work.steps)
    return Plan(memory, work, step, form, reference + training, total, per_step, first, rate)


def sheet_rate(device: Device, config: TrainConfig) -> Rate | None:
    """Return a share of the vendor's peak, None where there is no data sheet."""
    half = config.arguments.get("bf16") or config.arguments.get("fp16")
    half = half or config.dtype in ("bfloat16", "float16") or config.load_in_4bit
    peak = device.half_flops if half else device.single_flops
    if peak is None:
        return None
    low, high = EFFICIENCY
    words = f"{low:.0%} to {high:.0%} of the vendor's peak for {'16' if half else '32'} bits"
    return Rate(Bounds(low * peak, high * peak), f"estimate, not measured: {words}")


def given_rate(flops: float, source: str = "given, not measured") -> Rate:
    """Return a rate with its uncertainty."""
    return Rate(Bounds(flops * (1 - RATE_ERROR), flops * (1 + RATE_ERROR)), source)


def runtime_bytes(device: Device) -> int:
    """Return what the libraries take: on a CPU this process's own, which has imported them."""
    if device.kind == "cuda":
        return CUDA_RUNTIME
    return ready_bytes()


def _memory(step: Step, pairs: Sequence[EncodedPair], device: Device, runtime: int) -> Memory:
    phase, peak = step.peak
    cache = _CACHE_BYTES * sum(len(p.chosen_ids) + len(p.rejected_ids) for p in pairs)
    order = ("weights", "gradients", "optimizer", ACTIVATIONS, "head")
    counts: Counter[str] = Counter(peak)
    parts = {name: counts[name] for name in order}
    if device.kind == "cpu":
        parts["reference cache"] = cache
    parts["runtime"] = runtime
    return Memory(parts, phase, cache)


def _step_flops(step: Step, work: Work) -> float:
    """Return the operations of a step: tokens at the rate of the largest part, and the head."""
    share = 1 / (work.steps / work.epochs) if work.epochs else 1.0  # of all pairs, in a step
    backbone = step.flops / work.part_tokens * work.tokens
    vocabulary, hidden = step.head
    products = 8 if step.head_trained else 4
    return (backbone + products * work.scored * vocabulary * hidden) * share


def _reference_flops(step: Step, work: Work) -> float:
    vocabulary, hidden = step.head
    backbone = step.forward_flops / work.reference_part.input_tokens * work.tokens
    return backbone + 2.0 * work.scored * vocabulary * hidden


def _seconds(flops: float, rate: Rate) -> Bounds:
    return Bounds(flops / rate.flops.high, flops / rate.flops.low)


def rounded(value: float, digits: int = 2) -> float:
    """Return a number with no more digits than an estimate has."""
    if value == 0:
        return 0.0
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


# Large enough for the math libraries to set up the buffers that they keep.
_WARM = 512


def ready_bytes() -> int:
    """Return the resident memory once everything is imported and each kind of work was done once.

    At their first products the math libraries take buffers that they keep: 30 to 40 MB.
    """
    import torch

    import clairkit.training.trainer  # noqa: F401 - a run has it in memory
    from clairkit.kernels import linear_logps

    layer = torch.nn.Linear(_WARM, _WARM)
    hidden = layer(torch.zeros(_WARM, _WARM))
    heads = hidden.view(1, -1, 8, 64).transpose(1, 2)
    torch.nn.functional.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
    targets = torch.zeros(len(hidden), dtype=torch.int64)
    torch.autograd.backward(linear_logps(hidden, layer.weight, targets).sum())
    torch.optim.AdamW(layer.parameters()).step()
    del layer, hidden, heads, targets
    with suppress(AttributeError):  # a C library that has no such call
        ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()
