"""Inputs for the head-and-loss op, and its outcomes: ours, the naive one, the exact one."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from clairkit.kernels import linear_logps

# Tokens, vocabulary: single elements, no multiple of a tile, one past a tile in each direction.
SHAPES = ((1, 7), (63, 1021), (123, 2049))
HEADS: tuple[dict[str, Any], ...] = (
    {},
    {"softcap": 5.0},
    {"logit_scale": 0.3, "bias": True},
    {"softcap": 30.0, "logit_scale": 2.0, "bias": True},
)


def inputs(tokens: int, vocabulary: int, dtype: torch.dtype, peak: float = 1.0) -> list[Tensor]:
    """Return hidden [N, 48], weight [V, 48], bias [V], targets [N], coefficients [N]."""
    size = 48
    hidden = torch.randn(tokens, size, dtype=torch.float64)
    weight = torch.randn(vocabulary, size, dtype=torch.float64) * peak / size**0.5
    bias = torch.randn(vocabulary, dtype=torch.float64)
    targets = torch.randint(vocabulary, (tokens,))
    targets[::5] = -100
    return [hidden.to(dtype), weight.to(dtype), bias.to(dtype), targets, torch.randn(tokens)]


def cases(backend: str) -> list[Any]:
    """Heads and peaks, all with all at the largest shape; of the rest each one, with some.

    In the interpreter each of them, with some.
    """
    found = [*itertools.product(SHAPES, HEADS, (1.0, 20.0))]
    if backend == "triton":
        return found[::5]
    return [case for at, case in enumerate(found) if case[0] == SHAPES[-1] or at % 3 == 0]


def sampled(hidden: Tensor, weight: Tensor) -> Tensor:
    """Return targets [N] as the model itself would draw them."""
    logits = hidden.float() @ weight.float().T
    return torch.distributions.Categorical(logits=logits).sample()


def outcome(
    tensors: list[Tensor], backend: str, *, frozen: bool, naive: bool = False, **head: Any
) -> list[Tensor]:
    """Return log-probs and gradients of hidden and, unless frozen, of weight and bias."""
    hidden, weight, bias, targets, coefficients = tensors
    leaves = [hidden.detach().requires_grad_()]
    use_bias = head.pop("bias", False)
    parameters = [weight, bias] if use_bias else [weight]
    parameters = [p.detach().requires_grad_(not frozen) for p in parameters]
    leaves += [] if frozen else parameters
    bias_leaf = parameters[1] if use_bias else None
    if naive:
        logps = naive_logps(leaves[0], parameters[0], targets, bias_leaf, **head)
    else:
        logps = linear_logps(
            leaves[0], parameters[0], targets, bias=bias_leaf, backend=backend, **head
        )
    gradients = torch.autograd.grad((logps * coefficients.to(logps.dtype)).sum(), leaves)
    return [logps.detach(), *gradients]


def exactly(tensors: list[Tensor], *, frozen: bool, **head: Any) -> list[Tensor]:
    """Return the outcome in float64."""
    wide = [t.double() if t.is_floating_point() else t for t in tensors]
    return outcome(wide, "eager", frozen=frozen, **head)


def naive_logps(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    memory_budget: int | str | None = None,
) -> Tensor:
    """What a model does by itself: logits in the weights' dtype, log-softmax in float32."""
    logits = torch.nn.functional.linear(hidden, weight, bias)
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    logits = (logit_scale * logits).to(torch.promote_types(logits.dtype, torch.float32))
    chosen = torch.log_softmax(logits, -1).gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return torch.where(targets == -100, 0.0, chosen)


def relative(ours: list[Tensor], exact: list[Tensor]) -> list[float]:
    return [
        float((a.double() - b).norm() / b.norm().clamp(min=1e-30))
        for a, b in zip(ours, exact, strict=True)
    ]
