"""Hold what one step of a training took and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clairkit.bench.measure.timing import Peak


@dataclass(frozen=True)
class StepReport:
    """What one step took and told."""

    seconds: float
    logs: Mapping[str, float]
    gradients: Mapping[str, Any] = field(default_factory=dict)  # numpy, a sample of each parameter
    gradient_bytes: int = 0
    memory: Peak | None = None
