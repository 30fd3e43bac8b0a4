"""Define the autograd function over the operators."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from clairkit.kernels.operators import HEAD_GRADIENTS, HIDDEN_GRADIENT, TOKEN_LOGPS
from clairkit.kernels.options import HeadOptions
from clairkit.kernels.reference import eager_gradients

_REMEDY = "pass backend='eager', which computes in operations of torch alone"


@dataclass(frozen=True)
class Call:
    """What a pass is asked for beside its tensors."""

    options: HeadOptions
    backend: str
    dtype: torch.dtype  # of the products
    padded: bool  # under a compiler
    wants: str = ""  # "hidden" or "head": which gradients will be asked for

    def forward(self, inputs: list[Tensor]) -> tuple[Tensor, ...]:
        options = self.options
        found: list[Tensor] = TOKEN_LOGPS(
            inputs,
            options.softcap,
            options.logit_scale,
            self.backend,
            self.dtype,
            options.memory_budget,
            options.statistics,
            self.wants,
            self.padded,
        )
        return tuple(found)


def tiled_logps(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, call: Call
) -> tuple[Tensor, ...]:
    """Return (log-probs [N],) or, with statistics, (log-probs, entropy, hits, mean logits).

    Args:
        hidden: [N, D].
        weight: [V, D].
        targets: [N], all valid or -100.
        bias: [V], or None.
        call: the options.
    """
    if torch.is_grad_enabled():
        trained = weight.requires_grad or (bias is not None and bias.requires_grad)
        if trained or hidden.requires_grad:
            call = replace(call, wants="head" if trained else "hidden")
    # Without a gradient, too: what it can't be transformed by is refused there.
    function = TokenLogps if call.padded else TransformedTokenLogps
    found: tuple[Tensor, ...] = function.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, call
    )
    return found[: 4 if call.options.statistics else 1]


class TokenLogps(torch.autograd.Function):
    """`(hidden [N, D], weight [V, D], bias [V] or None, targets [N]) -> (log-probs [N], ...)`.

    What comes after log-probs and statistics is what the gradient needs.
    """

    @staticmethod
    def forward(
        hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, call: Call
    ) -> tuple[Tensor, ...]:
        return call.forward(_inputs(hidden, weight, bias, targets))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        hidden, weight, bias, targets, ctx.call = inputs
        logps, *others = output
        ctx.mark_non_differentiable(*others)
        ctx.set_materialize_grads(False)  # zeros as large as what is kept
        if ctx.call.wants:
            state = others[3 if ctx.call.options.statistics else 0 :]
            ctx.save_for_backward(hidden, weight, bias, targets, logps, *state)

    @staticmethod
    def backward(ctx: Any, coefficients: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        """Return the gradients; where they will be differentiated again, in eager form."""
        wanted = ctx.needs_input_grad[:3]
        if coefficients is None:
            return (None,) * 5
        hidden, weight, bias, targets, *state = ctx.saved_tensors
        call: Call = ctx.call
        options = call.options
        if torch.is_grad_enabled() and not call.padded:
            inputs = hidden, weight, targets, bias
            return *eager_gradients(coefficients, inputs, options, wanted), None, None
        if call.wants == "hidden":
            places, gradient = state[1:]
            d_hidden = HIDDEN_GRADIENT(
                coefficients, places, gradient, call.backend, hidden.dtype, call.padded
            )
            return d_hidden, None, None, None, None
        found = iter(
            HEAD_GRADIENTS(
                coefficients,
                _inputs(hidden, weight, bias, targets),
                state,
                options.softcap,
                options.logit_scale,
                call.backend,
                call.dtype,
                list(wanted),
                call.padded,
            )
        )
        return *(next(found) if want else None for want in wanted), None, None


class TransformedTokenLogps(TokenLogps):
    """The same outside of a compiler, which takes no function that answers transforms."""

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(f"linear_logps has no forward-mode derivative: {_REMEDY}")

    @staticmethod
    def vmap(*_: Any) -> Any:
        """Refuse a batch dimension that is none of hidden's.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            f"linear_logps takes no vmap: make the batch rows of hidden and targets, or {_REMEDY}"
        )


# Without it each call looks the signature up, 0.1 ms.
TokenLogps.forward.__signature__ = inspect.signature(TokenLogps.forward)  # type: ignore[attr-defined]


def _inputs(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> list[Tensor]:
    return [hidden, weight, targets] if bias is None else [hidden, weight, targets, bias]
