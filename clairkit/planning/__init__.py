"""Tell whether a training run fits, how long it takes and what it costs, without its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clairkit.errors import UsageError
from clairkit.planning.devices import Device, find_device
from clairkit.planning.estimate import (
    MEMORY_ERROR,
    Bounds,
    Plan,
    given_rate,
    plan_run,
    runtime_bytes,
)
from clairkit.planning.remedies import Remedy, remedies

if TYPE_CHECKING:
    from clairkit.training.config import TrainConfig

__all__ = ["MEMORY_ERROR", "MadePlan", "Request", "make_plan"]


@dataclass(frozen=True)
class Request:
    """What a plan is asked for: the configuration's sources, lengths, the device."""

    flags: Mapping[str, object]
    settings: Sequence[str] = ()
    file: str | None = None
    lengths: str | None = None  # PROMPT,CHOSEN,REJECTED in tokens, in place of pairs
    rows: int = 1000
    device: str = "cpu"
    memory: int | None = None
    flops: float | None = None
    probe: bool = False


@dataclass(frozen=True)
class MadePlan:
    """A plan, the device, and what would help where it does not fit."""

    plan: Plan
    device: Device
    remedies: list[Remedy]
    warnings: list[str]

    @property
    def capacity(self) -> int | None:
        """Bytes of the device; None where they are not known."""
        return self.device.memory

    @property
    def fits(self) -> bool | None:
        """None where the device's memory is not known."""
        return None if self.capacity is None else self.plan.memory.total <= self.capacity

    def to_dict(self, price_per_hour: float | None = None) -> dict[str, object]:
        """Return the plan as `--json` prints it: bytes, seconds, ranges as [low, high]."""
        plan = self.plan
        cost = None
        if price_per_hour is not None and plan.seconds is not None:
            cost = list(plan.seconds.times(price_per_hour / 3600))
        return {
            "fits": self.fits,
            "device": self.device.name,
            "capacity": self.capacity,
            "peak": plan.memory.total,
            "peak_error": MEMORY_ERROR,
            "parts": dict(plan.memory.parts),
            "phase": plan.memory.phase,
            "host_cache": plan.memory.host,
            "form": plan.form,
            "part_tokens": plan.work.part_tokens,
            "tokens": plan.work.tokens,
            "steps": plan.work.steps,
            "epochs": plan.work.epochs,
            "trainable": plan.step.trainable,
            "parameters": plan.step.parameters,
            "flops": plan.flops,
            "rate": None if plan.rate is None else [*plan.rate.flops],
            "rate_source": None if plan.rate is None else plan.rate.source,
            "seconds": _ends(plan.seconds),
            "step_seconds": _ends(plan.step_seconds),
            "reference_seconds": _ends(plan.reference_seconds),
            "cost": cost,
            "remedies": [vars(remedy) for remedy in self.remedies],
            "warnings": self.warnings,
        }


def _ends(bounds: Bounds | None) -> list[float] | None:
    return None if bounds is None else [*bounds]


def make_plan(request: Request, say: Callable[[str], None] = lambda text: None) -> MadePlan:
    """Plan a run as `clairkit train` would start it.

    Raises:
        UsageError: the configuration, model, lengths or device.
        DataError: no pair can be used.
    """
    from clairkit.planning.work import pairs_of_lengths
    from clairkit.training.config_sources import resolve
    from clairkit.training.models import load_settings, load_tokenizer
    from clairkit.training.preflight import check_early
    from clairkit.training.reading import read_run_pairs

    flags = {"output": "run", **request.flags}  # nothing is written
    if request.lengths is not None:
        flags["pairs"] = flags.get("pairs") or "lengths"
    config = resolve(flags, request.settings, request.file).config
    device = find_device(request.device, request.memory)
    if request.flops is not None and not request.flops > 0:
        raise UsageError("--flops must be above 0", received=request.flops)
    if request.probe and not device.here:
        raise UsageError(
            f"{device.name} is not here, so it can't be probed", remedy="leave --probe out"
        )
    # bfloat16 and the like must be there where the run is, which need not be here
    check_early(replace(config, arguments={**config.arguments, "use_cpu": True}))
    settings = load_settings(config.model, trust_remote_code=config.trust_remote_code)
    if request.lengths is None:
        pairs = read_run_pairs(config, load_tokenizer(config), say)[0].pairs
    else:
        pairs = pairs_of_lengths(request.lengths, request.rows)
    runtime = runtime_bytes(device)
    rate = None if request.flops is None else given_rate(request.flops)

    def planned(changed: TrainConfig) -> Plan:
        return plan_run(settings, changed, pairs, device, runtime=runtime, rate=rate)

    plan = planned(config)
    if request.probe:
        import torch

        from clairkit.planning.probe import probe_rate

        rate = probe_rate(settings, config, plan.work, torch.device(device.kind))
        plan = planned(config)
    found: list[Remedy] = []
    if device.memory is not None and plan.memory.total > device.memory:
        say("It does not fit; looking for what would help.")
        found = remedies(config, plan, device.memory, planned)
    return MadePlan(plan, device, found, _warnings(device))


def _warnings(device: Device) -> list[str]:
    if device.kind == "cuda":
        return [
            "for a GPU, memory is planned from the tensors of a CPU's step and 0.6 GB of "
            "libraries, which is assumed and not measured"
        ]
    return []
