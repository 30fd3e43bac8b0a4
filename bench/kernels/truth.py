"""Compute a point in float64, and how far a variant is from it. Imports torch alone.

Log-probs are computed in float64 for every token. Of the gradients a sample is: some rows of the
hidden states, and some vocabulary rows of the weight, half of which are targets; each of these is
the whole row, from all tokens or the whole vocabulary. Float64 products of everything would take
longer than what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.problem import Problem, draw_reference

SAMPLE = 256  # rows of hidden; as many target rows and as many random rows of the weight
_CHUNK = 1 << 24  # float64 elements of logits at a time
_ROWS = 1024


@dataclass(frozen=True)
class Tolerance:
    """The largest errors that count as the same computation."""

    nats_per_token: float
    loss: float
    gradient: float  # norm of the difference, relative


# bfloat16: logits rounded to 8 bits cost peers about a nat over a long response, and gradients that
# are summed in bfloat16 some per cent. A mistake in the mathematics is larger than that.
TOLERANCES = {"float32": Tolerance(1e-4, 1e-3, 1e-3), "bfloat16": Tolerance(2e-2, 5e-2, 1e-1)}


@dataclass(frozen=True)
class Reference:
    """The float64 truth of a point."""

    reference: Tensor  # [S] float32, the reference model's sums: part of the problem
    sums: Tensor  # [S]
    loss: float
    rows: Tensor  # [R] indices into the rows of hidden
    hidden: Tensor  # [R, D], dloss/dhidden
    columns: Tensor  # [K] indices into V
    weight: Tensor  # [K, D], dloss/dweight

    def save(self, path: Path) -> None:
        torch.save(self.__dict__, path)

    @classmethod
    def load(cls, path: Path) -> Reference:
        return cls(**torch.load(path, weights_only=True))


@dataclass(frozen=True)
class Accuracy:
    """Errors of a variant against float64 of the same inputs."""

    nats: tuple[float, ...]  # of each sequence's summed log-prob
    loss: float
    hidden: float  # relative, over the sampled rows
    weight: float | None  # None: the head has no gradient
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem


def write_reference(case: KernelCase, device: str, path: Path) -> None:
    """Compute the truth of a case and write it to `path`."""
    compute_reference(case, torch.device(device)).save(path)


@torch.no_grad()
def compute_reference(case: KernelCase, device: torch.device) -> Reference:
    """Return the truth of a case; the same one whether its head is trained or not."""
    problem = Problem.build(case, device, torch.zeros(case.sequences))
    weight, targets = problem.weight, problem.targets[problem.response]
    hidden = problem.hidden[problem.response].double()
    lse = _log_sum_exp(hidden, weight)
    sums = (_target_logits(hidden, weight, targets) - lse).view(case.sequences, -1).sum(1)
    reference = draw_reference(sums, case.seed)
    loss, factors = _loss_and_factors(case, sums, reference.to(device).double())
    generator = torch.Generator().manual_seed(case.seed + 1)
    rows = torch.randperm(case.tokens, generator=generator)[:SAMPLE].to(device)
    others = torch.randint(case.vocabulary, (SAMPLE,), generator=generator).to(device)
    columns = torch.unique(torch.cat([targets[rows], others]))
    d_hidden = factors[rows, None] * _slope(hidden[rows], weight, targets[rows], lse[rows])
    error = (targets[:, None] == columns).double()
    error -= torch.exp(hidden @ weight[columns].double().T - lse[:, None])
    d_weight = (factors[:, None] * error).T @ hidden
    places = problem.response[rows]
    return Reference(
        reference, sums.cpu(), loss, places.cpu(), d_hidden.cpu(), columns.cpu(), d_weight.cpu()
    )


def _blocks(rows: int, vocabulary: int) -> list[slice]:
    step = max(_CHUNK // max(rows, 1), 1)
    return [slice(start, start + step) for start in range(0, vocabulary, step)]


def _target_logits(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return each token's own logit, [N] float64."""
    logits = hidden.new_empty(len(hidden))
    for start in range(0, len(hidden), _ROWS):
        rows = slice(start, start + _ROWS)
        logits[rows] = (hidden[rows] * weight[targets[rows]].double()).sum(1)
    return logits


def _log_sum_exp(hidden: Tensor, weight: Tensor) -> Tensor:
    """Return the log of the sum of exponentials of each token's logits, [N] float64."""
    lse = hidden.new_full((len(hidden),), -torch.inf)
    for columns in _blocks(len(hidden), len(weight)):
        lse = torch.logaddexp(lse, (hidden @ weight[columns].double().T).logsumexp(1))
    return lse


def _slope(hidden: Tensor, weight: Tensor, targets: Tensor, lse: Tensor) -> Tensor:
    """Return dlogp/dhidden [R, D]."""
    total = weight[targets].double()
    for columns in _blocks(len(hidden), len(weight)):
        part = weight[columns].double()
        total -= torch.exp(hidden @ part.T - lse[:, None]) @ part
    return total


def _loss_and_factors(case: KernelCase, sums: Tensor, reference: Tensor) -> tuple[float, Tensor]:
    """Return (apo_zero, dloss/dlogp of each token [N])."""
    values = torch.sigmoid(case.beta * (sums - reference))
    pairs = case.sequences // 2
    signs = sums.new_tensor([-1.0] * pairs + [1.0] * pairs)
    loss = 1 + float((signs * values).sum()) / pairs
    factors = signs * case.beta * values * (1 - values) / pairs
    return loss, factors.repeat_interleave(case.length)


def judge(
    case: KernelCase, problem: Problem, truth: Reference, loss: Tensor, sums: Tensor
) -> Accuracy:
    """Return the errors of the step whose gradients the problem holds.

    Args:
        case: what was measured.
        problem: holds the step's gradients.
        truth: the right values, in float64.
        loss: of the step.
        sums: of log-probs.
    """
    nats = (sums.double().cpu() - truth.sums).abs()
    hidden = _relative(problem.hidden.grad, truth.rows, truth.hidden)
    trained = case.head == "full"
    weight = _relative(problem.weight.grad, truth.columns, truth.weight) if trained else None
    found = Accuracy(tuple(nats.tolist()), abs(float(loss) - truth.loss), hidden, weight)
    return replace(found, problem=_problem(case, found))


def _relative(gradient: Tensor | None, rows: Tensor, truth: Tensor) -> float:
    if gradient is None:
        return float("inf")
    part = gradient[rows.to(gradient.device)].double().cpu()
    return float((part - truth).norm() / truth.norm())


def _problem(case: KernelCase, found: Accuracy) -> str:
    limit = TOLERANCES[case.dtype]
    errors = {
        "log-probs differ by {:.1e} nats a token": (
            max(found.nats, key=lambda nats: (nats != nats, nats)) / case.length,
            limit.nats_per_token,
        ),
        "the loss differs by {:.1e}": (found.loss, limit.loss),
        "the gradient of hidden differs by a share of {:.1e}": (found.hidden, limit.gradient),
        "the gradient of the weight differs by a share of {:.1e}": (
            0.0 if found.weight is None else found.weight,
            limit.gradient,
        ),
    }
    for text, (value, most) in errors.items():
        if not value <= most:  # NaN fails, too
            return f"{text.format(value)} (tolerance {most:.0e})"
    return ""
