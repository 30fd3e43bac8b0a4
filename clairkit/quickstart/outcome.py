"""Hold what a quickstart did and measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clairkit.evaluation import compare
from clairkit.quickstart.stations import QuickstartPlan, Skills, evaluation_facts
from clairkit.records.json_types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from clairkit.evaluation import Evaluation


@dataclass(frozen=True)
class QuickstartResult:
    """What a quickstart did and measured."""

    folder: Path
    plan: QuickstartPlan
    pairs: int
    before: Skills
    after: Skills
    training: JsonMapping
    seconds: float
    peak_memory_mb: float

    def to_json(self) -> JsonObject:
        """Return every figure, as `summary.json` holds them."""
        return {
            "output": str(self.folder),
            "plan": asdict(self.plan),
            "pairs": self.pairs,
            "kpi": _facts(self.before.bills, self.after.bills),
            "guard": _facts(self.before.sums, self.after.sums),
            "parts": {"before": self.before.parts(), "after": self.after.parts()},
            "training": dict(self.training),
            "seconds": round(self.seconds, 1),
            "peak_memory_mb": self.peak_memory_mb,
        }


def _facts(before: Evaluation, after: Evaluation) -> JsonObject:
    return {
        "before": evaluation_facts(before),
        "after": evaluation_facts(after),
        "change": asdict(compare(before, after)),
    }
