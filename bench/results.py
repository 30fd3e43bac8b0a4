"""What was measured, and which ratios it admits. Imports torch alone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from clairkit.bench.measure import Peak, Spread, paired_ratio
from clairkit.bench.parity import Parity

Status = Literal["ok", "unchecked", "PARITY FAILED", "OOM", "ERROR"]

BASE = "plain"


@dataclass(frozen=True)
class VariantResult:
    """One variant of a case. `unchecked`: the plain step was not there to compare with."""

    variant: str
    status: Status = "ok"
    seconds: tuple[float, ...] = ()  # of every counted round
    memory: Peak | None = None
    parity: Parity | None = None  # None for the plain step itself
    problem: str = ""

    def with_memory(self, memory: Peak | None) -> VariantResult:
        """Return the result with its memory filled in."""
        return replace(self, memory=memory)


@dataclass(frozen=True)
class CaseResult:
    """All variants of one case."""

    case: Any  # a dataclass of clairkit.bench.cases
    results: tuple[VariantResult, ...]
    gradient_bytes: int = 0  # what every variant has to leave behind; part of its extra memory

    def base(self) -> VariantResult | None:
        """Return the plain step's result where it was measured."""
        for result in self.results:
            if result.variant == BASE and result.status == "ok":
                return result
        return None

    def time_ratio(self, result: VariantResult) -> Spread | None:
        """Return time / the plain step's time, or None where the two do not compare."""
        base = self.base()
        if base is None or not _comparable(result) or not (result.seconds and base.seconds):
            return None
        return paired_ratio(result.seconds, base.seconds)

    def memory_ratio(self, result: VariantResult) -> float | None:
        """Return peak extra memory / the plain step's, or None where the two do not compare."""
        base = self.base()
        if base is None or base.memory is None or result.memory is None or not _comparable(result):
            return None
        return result.memory.extra_bytes / max(base.memory.extra_bytes, 1)

    def to_json(self) -> dict[str, Any]:
        """Return the case with every raw number."""
        return {
            "case": self.case.to_json(),
            "gradient_bytes": self.gradient_bytes,
            "results": [self._variant_json(result) for result in self.results],
        }

    def _variant_json(self, result: VariantResult) -> dict[str, Any]:
        spread = Spread.of(result.seconds) if result.seconds else None
        ratio = self.time_ratio(result)
        return {
            "variant": result.variant,
            "status": result.status,
            "problem": result.problem,
            "parity": None if result.parity is None else finite(asdict(result.parity)),
            "seconds": list(result.seconds),
            "time": None if spread is None else asdict(spread),
            "time_ratio": None if ratio is None else asdict(ratio),
            "memory": None if result.memory is None else asdict(result.memory),
            "memory_ratio": self.memory_ratio(result),
        }


def _comparable(result: VariantResult) -> bool:
    if result.status != "ok":
        return False
    return result.variant == BASE or (result.parity is not None and result.parity.passed)


def finite(value: Any) -> Any:
    """Return `value` with every NaN and infinity in it as None: JSON has no form for them."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
