"""List what the kernel suite measures: clairkit's backends, torch, peers. Imports torch alone.

Shapes: N tokens in S sequences, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from clairkit.bench.kernels.cases import ITEM_BYTES, KernelCase
from clairkit.bench.kernels.problem import Step, Variant, float32_logits, from_logps, plain_logps
from clairkit.bench.peers import PEERS, absence
from clairkit.kernels import available_backends, choose_backend, linear_logps

OURS = "clairkit auto"
KEPT = "clairkit auto kept"
RECOMPUTED = "clairkit auto recomputed"
EAGER = "eager"
_PREFIX = "clairkit "
_SLACK = 256 << 20  # beside what is predicted; tiles, scratch


def our_variants(case: KernelCase, device: torch.device) -> list[Variant]:
    """Return `clairkit auto`, the other backends that run here, and the one that keeps products."""
    chosen, _ = choose_backend(device, getattr(torch, case.dtype))
    return _our_variants(
        case,
        [
            name
            for name, state in available_backends().items()
            if state.available and name not in (chosen, "eager") and _runs_on(name, device)
        ],
    )


def _our_variants(case: KernelCase, backends: Sequence[str]) -> list[Variant]:
    found = [_ours("auto"), *map(_ours, backends)]
    if case.head == "full":
        budget = case.tokens * case.vocabulary * ITEM_BYTES[case.dtype] + _SLACK
        found.append(Variant(RECOMPUTED, "clairkit", partial(_load_ours, "auto", 0)))
        found.append(
            Variant(
                KEPT,
                "clairkit",
                partial(_load_ours, "auto", budget),
                lambda case: float(case.logit_bytes),
            )
        )
    return found


def _runs_on(name: str, device: torch.device) -> bool:
    """Tell whether a backend takes tensors of this device, other than in an interpreter."""
    if name == "triton" and device.type == "cpu":
        return False  # the interpreter's time says nothing
    tensor = torch.ones(1, 1, device=device)
    try:
        linear_logps(tensor, tensor, torch.zeros(1, dtype=torch.int64, device=device), backend=name)
    except RuntimeError:
        return False
    return True


def _ours(backend: str) -> Variant:
    return Variant(f"{_PREFIX}{backend}", "clairkit", partial(_load_ours, backend, None))


def _load_ours(backend: str, budget: int | None) -> Step:
    def logps(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        return linear_logps(hidden, weight, targets, backend=backend, memory_budget=budget)

    return from_logps(logps)


EAGER_VARIANT = Variant(
    EAGER, EAGER, partial(from_logps, plain_logps), lambda case: 3 * float32_logits(case)
)


def variants(case: KernelCase, device: torch.device, peers: Sequence[str]) -> list[Variant]:
    """Return everything that is measured at a point: ours first, peers that are there last."""
    found = [*our_variants(case, device), EAGER_VARIANT]
    for name in peers:
        if not absence(name, device):
            found += PEERS[name].variants(case, device)
    return found


def find_variant(name: str, case: KernelCase, device: torch.device) -> Variant:
    """Return the variant of that name, without asking what else there is.

    Raises:
        LookupError: there is none at this point.
    """
    group = name.split(" ")[0]  # a variant's name begins with that of its group
    if group in PEERS:
        found = PEERS[group].variants(case, device)
    else:
        found = [*_our_variants(case, list(available_backends())), EAGER_VARIANT]
    for variant in found:
        if variant.name == name:
            return variant
    raise LookupError(f"no variant {name!r} at {case.name} on {device}")
