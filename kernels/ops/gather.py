"""Compute log-probs of targets over logits that exist, for heads that can't be reached.

The gradient is written into the logits' own memory: no second [N, V] buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from clairkit.kernels.inputs import FLOATS, check_memory, check_plain, check_targets
from clairkit.kernels.options import IGNORED
from clairkit.kernels.reference import logits_gradient

BACKENDS = ("triton", "torch")
# Elements that the torch path widens at a time: 32 MB of float32.
_CHUNK = 8 << 20
_TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def gather_logps(
    logits: Tensor,  # [..., V]
    targets: Tensor,  # [...] int64
    *,
    inplace: bool = True,
    backend: str = "auto",
) -> Tensor:
    """Return log p(target) of each token, float32 [...], in nats; 0 where a target is ignored.

    Softcap and scale are the model's: the logits are final. Differentiable in them. A log-prob is
    never above 0; a row with NaN has NaN.

    With `inplace`, backward overwrites the logits with their gradient and counts that as an
    in-place change: an operation that saved them, or that made them and saved its result (tanh),
    raises in its own backward if that comes later; what reads them with no graph, as a metric
    after `backward()`, finds the gradient. A second backward raises.

    Args:
        logits: [..., V] of any float dtype; the last dimension has stride 1, and those before it
            one stride, or two (a slice of [B, L, V]).
        targets: [...], each in [0, V) or -100 (ignored: no work, gradient 0).
        inplace: whether backward may use the logits' memory; else it takes as much again.
        backend: "auto" ("triton" on a GPU, else "torch"), "triton" or "torch".

    Raises:
        ValueError: shapes, strides or targets don't fit; a leaf to be overwritten.
        RuntimeError: Triton was asked for and can't run here.
    """
    check_plain(logits=logits, targets=targets)
    _check(logits, targets)
    if inplace and torch.is_grad_enabled() and logits.requires_grad:
        _check_overwriting(logits)
    backend = _choose(logits, backend)
    logps: Tensor = _GatherLogps.apply(logits, targets, inplace, backend)  # type: ignore[no-untyped-call]
    return logps


class _GatherLogps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, inplace: bool, backend: str) -> Tensor:
        flat = targets.reshape(-1).contiguous()
        run = _triton_sums if backend == "triton" else _torch_sums
        chosen, largest, sums = run(_rows(logits), flat)
        own = torch.exp(chosen - largest)
        # at least 1 of sums + own is the largest logit's, so that neither term is above 0
        logps = (chosen - largest) - torch.log1p(sums + (own - 1))
        ctx.save_for_backward(logits, flat, largest, sums, own + sums)
        ctx.inplace, ctx.backend, ctx.spent = inplace, backend, False
        return logps.view(targets.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.spent:
            raise RuntimeError(
                "gather_logps was asked for a second backward, but the first one overwrote the "
                "logits with their gradient: pass inplace=False"
            )
        logits, flat, *vectors = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again: the logits must stay
            return _differentiable(logits, flat, gradient), None, None, None
        ctx.spent = ctx.inplace
        out = logits.detach() if ctx.inplace else logits.new_empty(logits.shape)
        coefficients = gradient.reshape(-1).to(vectors[0].dtype).contiguous()
        run = _triton_gradient if ctx.backend == "triton" else _torch_gradient
        run(_rows(logits), flat, coefficients, vectors, _rows(out))
        if ctx.inplace:
            torch.autograd.graph.increment_version(logits)
        return out, None, None, None


def _differentiable(logits: Tensor, flat: Tensor, gradient: Tensor) -> Tensor:
    """Return the logits' gradient as a function that has a gradient."""
    valid = flat != IGNORED
    rows = logits.reshape(len(flat), -1)[valid]
    dtype = torch.promote_types(rows.dtype, torch.float32)
    d_rows = logits_gradient(rows.to(dtype), flat[valid], gradient.reshape(-1)[valid])
    zeros = logits.new_zeros(len(flat), logits.shape[-1])
    return zeros.index_put((valid,), d_rows.to(logits.dtype)).view(logits.shape)


def _triton_sums(rows: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    """Return (target's logit, largest logit, sum of the others' exponentials), each [N]."""
    from clairkit.kernels.triton import configs
    from clairkit.kernels.triton.logits import gather_kernel

    vectors = tuple(torch.empty(len(targets), device=rows.device) for _ in range(3))
    launch = configs.GATHER
    with torch.cuda.device_of(rows):  # type: ignore[no-untyped-call]
        if len(targets):
            gather_kernel[(len(targets),)](
                rows,
                targets,
                *vectors,
                rows.shape[2],
                rows.shape[1],
                *rows.stride()[:2],
                BLOCK_V=launch.block_v,
                num_warps=launch.num_warps,
                enable_fp_fusion=configs.FUSE_MULTIPLY_ADD,
            )
    return vectors


def _triton_gradient(
    rows: Tensor, targets: Tensor, coefficients: Tensor, vectors: list[Tensor], out: Tensor
) -> None:
    from clairkit.kernels.triton import configs
    from clairkit.kernels.triton.logits import scatter_kernel

    launch = configs.GATHER
    with torch.cuda.device_of(rows):  # type: ignore[no-untyped-call]
        if len(targets):
            scatter_kernel[(len(targets), -(-rows.shape[2] // launch.block_v))](
                rows,
                targets,
                coefficients,
                *vectors,
                out,
                rows.shape[2],
                rows.shape[1],
                *rows.stride()[:2],
                *out.stride()[:2],
                BLOCK_V=launch.block_v,
                num_warps=launch.num_warps,
                enable_fp_fusion=configs.FUSE_MULTIPLY_ADD,
            )


def _torch_sums(rows: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    """As `_triton_sums`, a chunk of rows at a time."""
    dtype = torch.promote_types(rows.dtype, torch.float32)
    vectors = tuple(torch.zeros(len(targets), dtype=dtype, device=rows.device) for _ in range(3))
    for place, chunk in _chunks(rows):
        valid = targets[place] != IGNORED
        index = torch.where(valid, targets[place], 0)[:, None]
        z = chunk.to(dtype, copy=True)
        own, best = z.gather(1, index), z.amax(1, keepdim=True)
        e = z.sub_(torch.where(best == -torch.inf, 0.0, best)).exp_().scatter_(1, index, 0.0)
        for vector, value in zip(vectors, (own[:, 0], best[:, 0], e.sum(1)), strict=True):
            vector[place] = torch.where(valid, value, 0.0)
    return vectors


def _torch_gradient(
    rows: Tensor, targets: Tensor, coefficients: Tensor, vectors: list[Tensor], out: Tensor
) -> None:
    for (place, chunk), (_, written) in zip(_chunks(rows), _chunks(out), strict=True):
        valid = targets[place] != IGNORED
        index = torch.where(valid, targets[place], 0)[:, None]
        largest, sums, totals = (vector[place, None] for vector in vectors)
        p = chunk.to(largest.dtype, copy=True).sub_(largest).exp_().neg_()
        values = p.scatter_(1, index, sums).mul_(coefficients[place, None] / totals)
        written.copy_(values.masked_fill_(~valid[:, None], 0.0))


def _chunks(rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Cut rows [B, L, V] into parts [T, V] of bounded size, each with its place among B * L."""
    length, size = rows.shape[1], max(1, _CHUNK // rows.shape[2])
    for i, block in enumerate(rows):
        for start in range(0, length, size):
            stop = min(start + size, length)
            yield slice(i * length + start, i * length + stop), block[start:stop]


def _rows(logits: Tensor) -> Tensor:
    """Return logits [..., V] as [B, L, V] in the same memory."""
    if logits.ndim == 3:
        return logits
    return logits.view(1, -1, logits.shape[-1])


def _choose(logits: Tensor, backend: str) -> str:
    if backend not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend {backend!r}: known are auto, {', '.join(BACKENDS)}")
    if backend == "torch" or (backend == "auto" and logits.device.type != "cuda"):
        return "torch"
    from clairkit.kernels.triton import interpreted, unavailable_reason

    reason = unavailable_reason()
    if reason is None and logits.dtype not in _TRITON_DTYPES:
        reason = f"the kernel has no {str(logits.dtype).removeprefix('torch.')}"
    if reason is None and logits.device.type != "cuda" and not interpreted():
        reason = f"the logits are on {logits.device}"
    if backend == "auto":
        return "triton" if reason is None else "torch"
    if reason is not None:
        raise RuntimeError(f"backend 'triton' can't run here: {reason}; pass backend='torch'")
    return "triton"


def _check(logits: Tensor, targets: Tensor) -> None:
    shape = list(logits.shape)
    if logits.ndim < 2 or logits.dtype not in FLOATS or not shape[-1]:
        raise ValueError(f"logits must be floats [..., V]: received {logits.dtype} {shape}")
    if targets.shape != logits.shape[:-1] or targets.dtype != torch.int64:
        raise ValueError(
            f"targets must be int64 {shape[:-1]}: received {targets.dtype} {list(targets.shape)}"
        )
    check_memory(logits=logits, targets=targets)
    strided = logits.stride(-1) != 1 and shape[-1] > 1
    if strided or (logits.ndim > 3 and not logits.is_contiguous()):
        raise ValueError(
            f"logits {shape} of strides {list(logits.stride())} can't be read in rows: "
            "pass logits.contiguous()"
        )
    check_targets(targets, shape[-1])


def _check_overwriting(logits: Tensor) -> None:
    if logits.is_leaf:
        raise ValueError(
            "backward would overwrite logits that no operation made (a leaf): pass inplace=False"
        )
    sizes = zip(logits.shape, logits.stride(), strict=True)
    if any(size > 1 and stride == 0 for size, stride in sizes):
        raise ValueError("backward can't overwrite expanded logits: pass inplace=False")
