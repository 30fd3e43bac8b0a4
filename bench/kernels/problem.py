"""Draw the inputs of one point and compute the loss over them. Imports torch alone.

Shapes: N response tokens in S sequences, M tokens with the prompts, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clairkit.bench.kernels.cases import KernelCase

# Logits are drawn with this deviation; a token's own logit is lifted by up to _LIFT, so that
# log-probs run from those of a random guess to those of a sure one.
_DEVIATION, _LIFT = 3.0, 24.0
# Rewards are beta * ratio, a few nats either way: the loss is neither flat nor at its start.
_RATIO = 8.0
_FEW = (3, 5)  # tokens a sequence, of the steps that warm up


@dataclass(frozen=True)
class Problem:
    """A point's tensors. Gradients are left in `hidden.grad` and, when trained, `weight.grad`."""

    hidden: Tensor  # [M, D], a leaf that requires a gradient
    weight: Tensor  # [V, D], requires one where the head is trained
    targets: Tensor  # [M], -100 in the prompts
    response: Tensor  # [N], indices of the response tokens
    reference: Tensor  # [S] float32, summed log-probs under the reference
    beta: float

    @classmethod
    def build(cls, case: KernelCase, device: torch.device, reference: Tensor) -> Problem:
        """Draw the inputs of a case; equal ones in every process on the same kind of device."""
        generator = torch.Generator(device).manual_seed(case.seed)
        dtype = getattr(torch, case.dtype)

        def drawn(rows: int) -> Tensor:
            empty = torch.empty(rows, case.hidden, device=device, dtype=dtype)
            return empty.normal_(generator=generator)

        weight = drawn(case.vocabulary).mul_(_DEVIATION / case.hidden**0.5)
        targets = torch.randint(case.vocabulary, (case.tokens,), device=device, generator=generator)
        lift = torch.rand(case.tokens, 1, device=device, generator=generator) * _LIFT
        hidden = drawn(case.tokens)
        # A row of the weight has a squared length of about _DEVIATION**2.
        hidden += (lift / _DEVIATION**2).to(dtype) * weight[targets]
        response = torch.arange(case.positions, device=device).view(case.sequences, -1)
        response = response[:, case.prompt :].flatten()
        if case.prompt:
            everything, labels = drawn(case.positions), targets.new_full((case.positions,), -100)
            everything[response], labels[response] = hidden, targets
            hidden, targets = everything, labels
        hidden.requires_grad_()
        weight.requires_grad_(case.head == "full")
        return cls(hidden, weight, targets, response, reference.to(device), case.beta)

    @property
    def sequences(self) -> int:
        return len(self.reference)

    def loss(self, sums: Tensor) -> Tensor:
        """Return apo_zero [], the mean over pairs; sums [S] of log-probs, the chosen first."""
        chosen, rejected = (self.beta * (sums - self.reference)).chunk(2)
        return (1 - torch.sigmoid(chosen) + torch.sigmoid(rejected)).mean()

    def few_tokens(self) -> list[Problem]:
        """Return problems of a few tokens with the very same head, to warm up with.

        No views: compilers would make other code for what is none.
        """
        found = []
        for length in _FEW:
            rows = self.response[: self.sequences * length]
            hidden = self.hidden.detach()[rows].requires_grad_()
            few = replace(
                self,
                hidden=hidden,
                targets=self.targets[rows],
                response=torch.arange(len(rows), device=rows.device),
            )
            found.append(few)
        return found

    def drop_gradients(self) -> None:
        """Forget the gradients of the last step."""
        self.hidden.grad = None
        self.weight.grad = None


def draw_reference(sums: Tensor, seed: int) -> Tensor:
    """Return sums [S] of a reference model that lies a few nats from the policy's."""
    generator = torch.Generator().manual_seed(seed)
    ratios = (torch.rand(len(sums), generator=generator) * 2 - 1) * _RATIO
    return (sums.cpu() - ratios).float()


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
