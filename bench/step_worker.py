"""What runs in the processes of the step suite: one variant's memory, or all variants' time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import transformers  # here, so that the process that all others are forked from imports it once
from torch import Tensor, nn
from transformers.models.llama import modeling_llama  # noqa: F401 - as above

from clairkit.bench.cases import PairLengths, StepCase
from clairkit.bench.clairkit_step import ClairkitStep
from clairkit.bench.measure import Peak, interleave, is_out_of_memory, peak_extra
from clairkit.bench.models import Tokens, build_model, drift, random_tokens, sharing_copy
from clairkit.bench.parity import TOLERANCES, StepResult, compare
from clairkit.bench.plain_step import PlainStep
from clairkit.bench.results import BASE, Status, VariantResult

TRIMMED = "plain trimmed"
_OURS = "clairkit "  # then the kernel's name
_WARM_UP = (PairLengths(4, 4, 3),)


class Step(Protocol):
    """A training step of one batch."""

    def cache_reference(self) -> None:
        """Compute the reference's log-probs under the model as it is now."""

    def run(self) -> tuple[Tensor, Tensor]:
        """Return the loss [] and the log-probs [2B], gradients done."""


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    device: str
    threads: int
    rounds: int
    warmup: int = 1

    def apply(self) -> torch.device:
        """Set this process up and return the device."""
        transformers.logging.set_verbosity_error()
        torch.set_num_threads(self.threads)
        return torch.device(self.device)


def our_variant(kernel: str) -> str:
    """Return the name of the variant that runs this kernel."""
    return f"{_OURS}{kernel}"


def make_step(variant: str, model: Any, tokens: list[Tokens], case: StepCase) -> Step:
    """Return the step of that variant on a model that is its own."""
    if variant in (BASE, TRIMMED):
        trimmed = variant == TRIMMED
        return PlainStep(model, tokens, loss=case.loss, beta=case.beta, trimmed=trimmed)
    kernel = variant.removeprefix(_OURS)
    return ClairkitStep(model, tokens, kernel=kernel, loss=case.loss, beta=case.beta)


def measure_memory(case: StepCase, variant: str, settings: Settings) -> tuple[Peak, int]:
    """Return (peak extra memory of one step, bytes of the gradients it leaves).

    A step on a few tokens goes before, for what libraries set up once.
    """
    device = settings.apply()
    model = build_model(case, device)
    warm_up = make_step(variant, sharing_copy(model), random_tokens(case, _WARM_UP), case)
    step = make_step(variant, sharing_copy(model), random_tokens(case), case)
    step.cache_reference()
    drift(model, case.seed + 1)
    warm_up.run()
    model.zero_grad()
    peak = peak_extra(step.run, device)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return peak, sum(gradient.nbytes for gradient in gradients)


def measure_times(
    case: StepCase, variants: tuple[str, ...], settings: Settings
) -> dict[str, VariantResult]:
    """Compare every variant with the plain step, then time those that compute the same."""
    device = settings.apply()
    model = build_model(case, device)
    tokens = random_tokens(case)
    steps: dict[str, Step] = {}
    results: dict[str, VariantResult] = {}
    for name in variants:
        try:
            steps[name] = make_step(name, sharing_copy(model), tokens, case)
            steps[name].cache_reference()
        except Exception as error:
            results[name] = _failure(name, error)
    drift(model, case.seed + 1)
    alive = {name: step for name, step in steps.items() if name not in results}
    return results | check_and_time(case, alive, model, settings)


def check_and_time(
    case: StepCase, steps: Mapping[str, Step], model: nn.Module, settings: Settings
) -> dict[str, VariantResult]:
    """Return the result of every step; one that computes something else is not timed."""
    results = _check(case, steps, model)
    sound = {name: steps[name].run for name, found in results.items()
             if found.status in ("ok", "unchecked")}  # fmt: skip
    times = interleave(sound, rounds=settings.rounds, warmup=settings.warmup,
                       device=torch.device(settings.device), between=model.zero_grad)  # fmt: skip
    for name, seconds in times.seconds.items():
        results[name] = replace(results[name], seconds=tuple(seconds))
    for name, problem in times.failed.items():
        results[name] = replace(results[name], status="OOM", problem=problem)
    return results


def _check(case: StepCase, steps: Mapping[str, Step], model: nn.Module) -> dict[str, VariantResult]:
    results: dict[str, VariantResult] = {}
    tokens = torch.tensor(
        [pair.chosen for pair in case.lengths] + [pair.rejected for pair in case.lengths]
    )
    plain: StepResult | None = None
    for name in sorted(steps, key=lambda name: name != BASE):
        try:
            result = _result(steps[name].run, model)
        except Exception as error:
            results[name] = _failure(name, error)
            continue
        if name == BASE:
            plain = result
            results[name] = VariantResult(name)
        elif plain is None:
            results[name] = VariantResult(name, "unchecked", problem="no plain step to compare")
        else:
            parity = compare(result, plain, tokens, TOLERANCES[case.dtype])
            status: Status = "ok" if parity.passed else "PARITY FAILED"
            results[name] = VariantResult(name, status, parity=parity, problem=parity.problem)
    return results


def _result(run: Callable[[], tuple[Tensor, Tensor]], model: nn.Module) -> StepResult:
    model.zero_grad()
    loss, logps = run()
    gradients = {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad()  # sets to None: the tensors stay as they are
    return StepResult(float(loss), logps, gradients)


def _failure(name: str, error: Exception) -> VariantResult:
    status: Status = "OOM" if is_out_of_memory(error) else "ERROR"
    return VariantResult(name, status, problem=f"{type(error).__name__}: {error}")
