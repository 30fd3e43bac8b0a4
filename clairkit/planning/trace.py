"""Count bytes and operations of code that runs on tensors without memory, a stand-in head too.

Shapes: N scored tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from clairkit.kernels.options import budget_bytes
from clairkit.kernels.tiles import TorchTiles

ACTIVATIONS = "activations"


class MemoryTrace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch is partly untyped
    """Watches every operation under it: storages that come and go, and floating-point operations.

    A storage belongs to a kind; new ones to that of `kind`, by default activations. `peak` holds
    the bytes of each kind at the moment when they were most together.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.flops = 0
        self._kind = ACTIVATIONS
        self._kinds: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.flops += _flops(func, args, kwargs, result)
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._enter(tensor)
        if self.live.total() > self.peak.total():
            self.peak = Counter(self.live)
        return result

    @contextmanager
    def kind(self, name: str) -> Iterator[None]:
        """New storages are of this kind."""
        before, self._kind = self._kind, name
        try:
            yield
        finally:
            self._kind = before

    def tag(self, tensor: Tensor, name: str) -> None:
        """Move a tensor's storage to another kind."""
        held = self._kinds.get(tensor.untyped_storage())
        if held is None or held[0] == name:
            return
        size = tensor.untyped_storage().nbytes()
        self.live[held[0]] -= size
        self.live[name] += size
        held[0] = name

    def take_peak(self) -> Counter[str]:
        """Return the peak since the last time, and begin a new one at what lives now."""
        found, self.peak = self.peak, Counter(self.live)
        return found

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._kinds:
            return
        held = self._kinds[storage] = [self._kind]
        size = storage.nbytes()
        self.live[self._kind] += size
        weakref.finalize(storage, self._leave, held, size)

    def _leave(self, held: list[str], size: int) -> None:
        self.live[held[0]] -= size


def _flops(func: Any, args: Any, kwargs: Any, result: Any) -> int:
    """Return an operation's floating-point operations; causal attention counts half its square."""
    aten = torch.ops.aten
    packet = getattr(func, "overloadpacket", None)
    if packet is aten._scaled_dot_product_flash_attention_for_cpu:
        causal = (len(args) > 4 and bool(args[4])) or bool(kwargs.get("is_causal"))
        return _attention(args[0], args[1], args[2]) // (2 if causal else 1)
    if packet is aten._scaled_dot_product_flash_attention_for_cpu_backward:
        causal = bool(args[7]) if len(args) > 7 else bool(kwargs.get("is_causal"))
        return 5 * _attention(args[1], args[2], args[3]) // (4 if causal else 2)
    count: Any = flop_registry.get(packet)
    return 0 if count is None else int(count(*args, **kwargs, out_val=result))


def _attention(query: Tensor, key: Tensor, value: Tensor) -> int:
    # torch counts heads alike; keys and values of fewer heads cost as if they were repeated
    heads = query.shape[1]
    shapes = [(t.shape[0], heads, *t.shape[2:]) for t in (query, key, value)]
    return int(sdpa_flop_count(*shapes))  # type: ignore[no-untyped-call]


HEAD = "head"


def head_logps(
    hidden: Tensor, weight: Tensor, trace: MemoryTrace, memory_budget: int | str | None
) -> Tensor:
    """Return float32 [N] in place of log-probs; forward and backward allocate what they would.

    Args:
        hidden: [N, D].
        weight: of the head, [V, D].
        trace: counts what is allocated.
        memory_budget: as of `linear_logps`.
    """
    found: Tensor = _Head.apply(hidden, weight, trace, memory_budget)  # type: ignore[no-untyped-call]
    return found


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        trace: MemoryTrace,
        memory_budget: int | str | None,
    ) -> Tensor:
        ctx.frozen, ctx.trace = not ctx.needs_input_grad[1], trace
        wide = torch.promote_types(hidden.dtype, torch.float32)
        with trace.kind(HEAD):
            logps = hidden.new_empty(len(hidden), dtype=wide)
            held: tuple[Tensor, ...] = ()
            if ctx.frozen and ctx.needs_input_grad[0]:
                held = (hidden, torch.empty_like(hidden))
            elif not ctx.frozen:
                budget = budget_bytes(memory_budget, hidden.device)
                column_bytes = max(len(hidden) * hidden.element_size(), 1)
                count = min(budget // column_bytes, len(weight)) * len(hidden)
                held = (hidden, weight, hidden.new_empty(count))
            tokens, columns = TorchTiles().shape(
                len(hidden), hidden.dtype, all_tokens=not ctx.frozen
            )
            _tile = hidden.new_empty(tokens * min(columns, len(weight)))
            _total = hidden.new_empty((tokens, hidden.shape[1]), dtype=wide)
        ctx.save_for_backward(*held)
        return logps

    @staticmethod
    def backward(ctx: Any, coefficients: Tensor) -> tuple[Tensor | None, ...]:
        with ctx.trace.kind(HEAD):
            if ctx.frozen:
                return torch.empty_like(ctx.saved_tensors[1]), None, None, None
            hidden, weight, _ = ctx.saved_tensors
            wide = torch.promote_types(hidden.dtype, torch.float32)
            tokens, columns = TorchTiles().shape(len(hidden), hidden.dtype, all_tokens=True)
            _tile = hidden.new_empty(tokens * min(columns, len(weight)))
            _scaled = torch.empty_like(hidden)
            total = torch.zeros_like(hidden, dtype=wide) if ctx.needs_input_grad[0] else None
            d_hidden = None if total is None else total.to(hidden.dtype)
            return d_hidden, torch.empty_like(weight), None, None
