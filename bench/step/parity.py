"""Compare what two variants compute, before either is timed. Imports torch alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

# A parameter whose gradient is this small beside the whole one is compared with the whole one's
# share instead: rounding would drown it.
_SMALL_SHARE = 1e-3
_INF = float("inf")


@dataclass(frozen=True)
class StepResult:
    """What a training step computed; S sequences."""

    loss: float
    logps: Tensor  # [S], summed log-probs, nats
    gradients: Mapping[str, Tensor]  # by parameter


@dataclass(frozen=True)
class Tolerance:
    """The largest gaps that count as equal."""

    nats_per_token: float
    loss: float
    gradient_norm: float  # relative
    gradient: float  # of each parameter, norm of the difference, relative


# float32: sums taken in another order; a response's log-prob of -4000 is itself rounded to 2e-4.
# bfloat16: what the plain step loses by logits of 8 bits and gradients summed in bfloat16.
TOLERANCES = {
    "float32": Tolerance(1e-5, 1e-4, 1e-4, 3e-4),
    "bfloat16": Tolerance(1e-3, 5e-3, 1e-2, 5e-2),
}


@dataclass(frozen=True)
class Parity:
    """The gaps between a variant and the plain step, and what is wrong with them, or ""."""

    nats_per_token: float
    loss: float
    gradient_norm: float
    gradient: float
    worst_parameter: str
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Tell whether every gap is within its tolerance."""
        return not self.problem


def compare(result: StepResult, plain: StepResult, tokens: Tensor, tolerance: Tolerance) -> Parity:
    """Compare a variant's step with the plain one's.

    Args:
        result: the variant's.
        plain: the plain step's.
        tokens: [S], response tokens of each sequence.
        tolerance: the largest gaps allowed.
    """
    nats = _largest((result.logps.cpu() - plain.logps.cpu()).abs() / tokens.cpu())
    loss = abs(result.loss - plain.loss)
    if result.gradients.keys() != plain.gradients.keys():
        names = ", ".join(sorted(result.gradients.keys() ^ plain.gradients.keys())[:3])
        return Parity(nats, loss, _INF, _INF, names, f"only one of both has a gradient of {names}")
    norms = {name: _norm(gradient) for name, gradient in plain.gradients.items()}
    whole = sum(norm**2 for norm in norms.values()) ** 0.5
    ours = sum(_norm(gradient) ** 2 for gradient in result.gradients.values()) ** 0.5
    if not whole > 0:
        return Parity(nats, loss, _INF, _INF, "", "the plain step has no gradient")
    gaps = {
        name: _norm(result.gradients[name].double() - gradient.double())
        / max(norms[name], _SMALL_SHARE * whole)
        for name, gradient in plain.gradients.items()
    }
    # NaN first: it is above nothing
    worst = max(gaps, key=lambda name: (gaps[name] != gaps[name], gaps[name]))
    gap = Parity(nats, loss, abs(ours - whole) / whole, gaps[worst], worst)
    return replace(gap, problem=_problem(gap, tolerance))


def _problem(gap: Parity, tolerance: Tolerance) -> str:
    for name, text in (
        ("nats_per_token", "log-probs differ by {:.1e} nats a token"),
        ("loss", "losses differ by {:.1e}"),
        ("gradient_norm", "gradient norms differ by a share of {:.1e}"),
        ("gradient", "the gradient of {} differs by a share of {:.1e}"),
    ):
        value = getattr(gap, name)
        if not value <= getattr(tolerance, name):  # NaN fails, too
            parts = (gap.worst_parameter, value) if name == "gradient" else (value,)
            return f"{text.format(*parts)} (tolerance {getattr(tolerance, name):.0e})"
    return ""


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))


def _largest(values: Tensor) -> float:
    return float(values.max()) if len(values) else 0.0
