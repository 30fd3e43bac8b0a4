"""Make the passes over tiles operators that torch sees as one step each.

What watches, traces or repeats operations (torch.compile, selective checkpointing, fake tensors)
sees these, and not the products and C calls within, whose memory is reused from pass to pass.

Shapes: N tokens, n of them counted, D hidden size, V vocabulary. Shapes must not depend on values
under a compiler: there an operator that is `padded` returns N rows where it returns n otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from clairkit.kernels.backends import TILES, choose_backend
from clairkit.kernels.exact_rows import ExactRows, redo_rows, widest
from clairkit.kernels.inputs import Counted, check_memory
from clairkit.kernels.options import HeadOptions
from clairkit.kernels.tiled import (
    ForwardResult,
    Head,
    SavedExp,
    backward_pass,
    forward_pass,
    room_to_keep,
    with_target_logits,
)
from clairkit.kernels.tiles import TorchTiles

# Of a bias: a product may be as large, and be rounded by more than a nat, though its logit is not.
_MOST_BIAS = 128.0
# Of a logit scale: an exponential times it is a number of float32.
_MOST_SCALE = 1e4


def token_logps(
    inputs: list[Tensor],
    softcap: float | None,
    logit_scale: float,
    backend: str,
    dtype: torch.dtype,
    memory_budget: int,
    statistics: bool,
    wants: str,
    padded: bool,
) -> list[Tensor]:
    """Return log-probs [N], the statistics [N] that are wanted, and what a gradient needs.

    That is, where `wants` is "hidden": the places of counted tokens [n] and G [n, D]; where it is
    "head": places, anchors [N], inverse sums [N], whether a row is exact [N], kept exponentials.

    Args:
        inputs: hidden [N, D], weight [V, D], targets [N] and, where there is one, bias [V].
        softcap: see `HeadOptions`, as for logit_scale, memory_budget and statistics.
        backend: "auto" or a name of `TILES`.
        dtype: of the products.
        wants: "", "hidden" or "head".
        padded: whether shapes may not depend on values.
    """
    options = HeadOptions(softcap, logit_scale, memory_budget, statistics)
    _check_memory(inputs)
    counted = Counted.of(inputs[2], len(inputs[1]))
    hidden, targets, head = _problem(inputs, counted, options, backend, dtype)
    with torch.autocast(hidden.device.type, enabled=False):
        kept = room_to_keep(hidden, head) if wants == "head" else None
        rows = with_target_logits(hidden, targets, head)
        found, gradient, doubtful = forward_pass(
            rows, head, want_gradient=wants == "hidden", kept=kept
        )
        anchors = None
        if len(doubtful):
            anchors = redo_rows(rows, head, found, gradient, kept, doubtful)
        if kept is not None:
            kept.put_own(targets, found.own() * rows.slope)
        head.tiles.end()
    anchor = found.anchor
    found = found.to(torch.promote_types(dtype, torch.float32))
    outputs = [counted.spread(vector) for vector in (found.logps, *found.statistics)]
    if not wants:
        return outputs
    outputs.append(counted.padded() if padded else counted.places)
    if gradient is not None:
        gradient = gradient.to(dtype)
        return [*outputs, counted.fill(gradient, 0) if padded else gradient]
    anchor, exact = _anchors(anchor, doubtful, anchors)
    memory = hidden.new_empty(0) if kept is None else kept.memory
    return [*outputs, *map(counted.spread, (anchor, found.inverse, exact)), memory]


def hidden_gradient(
    coefficients: Tensor,
    places: Tensor,
    gradient: Tensor,
    backend: str,
    dtype: torch.dtype,
    padded: bool,
) -> Tensor:
    """Return coefficients[t] * G[t] in hidden's dtype, [N, D], 0 where a token is ignored.

    Args:
        coefficients: [N], dloss/dlogps.
        places: of the valid tokens.
        gradient: G of the valid tokens.
        backend: which implementation.
        dtype: of hidden.
        padded: whether shapes may not depend on values.
    """
    counted = Counted.again(places, len(coefficients), padded=padded)
    gradient = gradient[: len(counted.places)]
    found = torch.empty_like(gradient)
    tiles = _tiles(backend, gradient.device, gradient.dtype)
    tiles.combine(found, counted.pick(coefficients), gradient)
    return counted.spread(found.to(dtype))


def head_gradients(
    coefficients: Tensor,
    inputs: list[Tensor],
    state: list[Tensor],
    softcap: float | None,
    logit_scale: float,
    backend: str,
    dtype: torch.dtype,
    wanted: list[bool],
    padded: bool,
) -> list[Tensor]:
    """Return those of the gradients of hidden, weight and bias that are wanted, in their dtypes.

    What is not named below is as of `token_logps`.

    Args:
        coefficients: [N], dloss/dlogps.
        state: log-probs, then what `token_logps` returned for wants="head".
        wanted: of hidden, weight, bias.
    """
    logps, places, anchor, inverse, exact, memory = state
    _check_memory(inputs)
    counted = Counted.again(places, len(coefficients), padded=padded)
    options = HeadOptions(softcap, logit_scale)
    hidden, targets, head = _problem(inputs, counted, options, backend, dtype)
    anchor, exact = counted.pick(anchor), counted.pick(exact)
    found = ForwardResult(counted.pick(logps), anchor, counted.pick(inverse)).to(head.sum_dtype)
    width = head.tiles.shape(len(hidden), head.dtype, all_tokens=True)[1]
    kept = SavedExp(memory, len(hidden), width) if len(memory) else None
    coefficients = counted.pick(coefficients).to(head.sum_dtype)
    index = exact.nonzero()[:, 0]
    overwrite = None
    if len(index):
        rows = ExactRows(index, anchor[index], hidden, targets, found.own())
        overwrite = rows.overwrite(head)
    with torch.autocast(hidden.device.type, enabled=False):
        d_hidden, d_weight, d_bias = backward_pass(
            (hidden, targets), head, found, coefficients, kept, overwrite, wanted
        )
        head.tiles.end()
    if d_hidden is not None:
        d_hidden = counted.spread(d_hidden.to(inputs[0].dtype))
    return [found for found in (d_hidden, d_weight, d_bias) if found is not None]


def _check_memory(inputs: list[Tensor]) -> None:
    check_memory(**dict(zip(("hidden", "weight", "targets", "bias"), inputs, strict=False)))


def _problem(
    inputs: list[Tensor], counted: Counted, options: HeadOptions, backend: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Head]:
    """Return hidden [n, D] in the products' dtype, targets [n], and the head."""
    hidden, weight, targets, *more = inputs
    bias = more[0] if more else None
    tiles = _tiles(backend, hidden.device, dtype)
    hidden = counted.pick(hidden).to(dtype).contiguous()
    if abs(options.logit_scale) > _MOST_SCALE:
        hidden = hidden.to(widest(hidden.device))
    elif bias is not None and tiles.rounds(hidden) and _is_large(bias, options.logit_scale):
        hidden = hidden.float()
    return hidden, counted.pick(targets), Head(weight, bias, options, tiles, hidden.dtype)


def _tiles(backend: str, device: torch.device, dtype: torch.dtype) -> TorchTiles:
    name = choose_backend(device, dtype)[0] if backend == "auto" else backend
    return TILES[name](device)


def _is_large(bias: Tensor, logit_scale: float) -> bool:
    """Tell whether products that a bias cancels could be too large to be rounded."""
    finite = torch.where(bias.isfinite(), bias, 0.0)
    return bool(len(bias)) and float(finite.abs().max()) * abs(logit_scale) > _MOST_BIAS


def _anchors(anchor: Tensor, doubtful: Tensor, exact: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return all anchors in the widest dtype, and whether a row is exact."""
    anchor = anchor.to(widest(anchor.device))
    is_exact = torch.zeros_like(anchor, dtype=torch.bool)
    if exact is not None:
        anchor[doubtful], is_exact[doubtful] = exact, True
    return anchor, is_exact


# What the operators return of tensors without values, when they are padded.


def _fake_token_logps(inputs: list[Tensor], *others: Any) -> list[Tensor]:
    _, _, _, dtype, _, statistics, wants, _ = others
    hidden = inputs[0]
    tokens, sums = hidden.shape[0], torch.promote_types(dtype, torch.float32)
    dtypes = [sums, *([sums, torch.bool, sums] if statistics else [])]
    if wants:
        dtypes.append(torch.int64)
    if wants == "head":
        dtypes += [widest(hidden.device), sums, torch.bool]
    found = [hidden.new_empty(tokens, dtype=one) for one in dtypes]
    if wants:
        found.append(hidden.new_empty(hidden.shape if wants == "hidden" else 0, dtype=dtype))
    return found


def _fake_hidden_gradient(coefficients: Tensor, *others: Any) -> Tensor:
    _, gradient, _, dtype, _ = others
    found: Tensor = gradient.new_empty(coefficients.shape[0], gradient.shape[1], dtype=dtype)
    return found


def _fake_head_gradients(_: Tensor, inputs: list[Tensor], *others: Any) -> list[Tensor]:
    hidden, weight, _targets, *bias = inputs
    pairs = zip((hidden, weight, *bias), others[-2], strict=False)
    return [tensor.new_empty(tensor.shape) for tensor, want in pairs if want]


_NUMBERS = "float? softcap, float logit_scale, str backend, ScalarType dtype"
# Not `custom_op`, whose wrapper takes 0.1 ms a call.
_LIBRARY: Any = torch.library.Library("clairkit", "FRAGMENT")  # type: ignore[no-untyped-call]


def _register(schema: str, compute: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    """Make an operator of a function, and tell what it returns of tensors without values."""
    name = f"clairkit::{compute.__name__}"
    _LIBRARY.define(f"{compute.__name__}{schema}")
    _LIBRARY.impl(compute.__name__, compute, "CompositeExplicitAutograd")
    torch.library.register_fake(name, fake, lib=_LIBRARY)
    return getattr(torch.ops.clairkit, compute.__name__).default


TOKEN_LOGPS = _register(
    f"(Tensor[] inputs, {_NUMBERS}, int memory_budget, bool statistics, str wants, bool padded) "
    "-> Tensor[]",
    token_logps,
    _fake_token_logps,
)
HIDDEN_GRADIENT = _register(
    "(Tensor coefficients, Tensor places, Tensor gradient, str backend, ScalarType dtype, "
    "bool padded) -> Tensor",
    hidden_gradient,
    _fake_hidden_gradient,
)
HEAD_GRADIENTS = _register(
    f"(Tensor coefficients, Tensor[] inputs, Tensor[] state, {_NUMBERS}, bool[] wanted, "
    "bool padded) -> Tensor[]",
    head_gradients,
    _fake_head_gradients,
)
