"""Define one way to compute a step of the kernel suite, and what several of them share.

Shapes: N tokens in S sequences, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.problem import Problem

# A step: forward, loss and backward; returns (loss [], summed log-probs [S]).
Step = Callable[[Problem], tuple[Tensor, Tensor]]
# (hidden [N, D], weight [V, D], targets [N]) -> log-probs [N]
Logps = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Variant:
    """One way to compute a step.

    `load` imports what it needs and is called in the process that measures. `extra_bytes` predicts
    the memory of a step beyond its gradients, so that one which can't fit is never started.
    """

    name: str
    group: str  # "clairkit", "eager", or the peer's name
    load: Callable[[], Step]
    extra_bytes: Callable[[KernelCase], float] = lambda case: 0.0


def from_logps(logps: Logps) -> Step:
    """Return the step whose log-probs `logps` computes."""

    def step(problem: Problem) -> tuple[Tensor, Tensor]:
        tokens = logps(problem.hidden, problem.weight, problem.targets)
        sums = tokens.view(problem.sequences, -1).sum(1)
        loss = problem.loss(sums)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), sums.detach()

    return step


def float32_logits(case: KernelCase) -> float:
    """Return the bytes of all logits in float32, those of ignored tokens too."""
    return 4.0 * case.positions * case.vocabulary


def plain_logps(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return log-probs from all logits at once, a log-softmax in float32; 0 where ignored."""
    logits = hidden @ weight.T
    index = targets.clamp(min=0)[:, None]
    found = torch.log_softmax(logits, -1, dtype=torch.float32).gather(1, index)[:, 0]
    return torch.where(targets < 0, 0.0, found)
