"""A plain-language reading of a run's metrics: what happened, what it rests on, what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clairkit.runs.diagnosis import inputs, moved, symptoms
from clairkit.runs.diagnosis.direction import direction
from clairkit.runs.diagnosis.facts import Finding, RunFacts, variant_alarm
from clairkit.runs.diagnosis.movement import Movement
from clairkit.runs.diagnosis.trajectory import Row, Trajectory, read_rows

__all__ = ["Diagnosis", "Finding", "Movement", "RunFacts", "diagnose", "variant_alarm"]


Rule = Callable[[Trajectory, RunFacts], Finding | None]

# In order of rank within a severity. These need rows enough for a trend,
_TRENDS: tuple[Rule, ...] = (
    moved.exploded,
    direction,
    moved.rounded_away,
    symptoms.loss_rose,
    symptoms.overfit,
    symptoms.undecided,
    symptoms.saturated,
    symptoms.held_out_gap,
    symptoms.shared_margin,
    symptoms.large_kl,
    symptoms.length_drift,
    symptoms.unstable,
    symptoms.sft_dominates,
    inputs.easy_pairs,
)
# these are in their place where there are too few,
_SHORT: tuple[Rule, ...] = (moved.exploded, moved.moved, moved.rounded_away, inputs.few_rows)
# and these need none.
_FACTS: tuple[Rule, ...] = (
    inputs.variant,
    inputs.lost_rows,
    inputs.lengths_differ,
    inputs.other_reference,
)


@dataclass(frozen=True)
class Diagnosis:
    """The findings, the most pressing first, and one line that sums them up."""

    findings: Sequence[Finding]
    headline: str

    @property
    def lines(self) -> list[str]:
        """The headline and a line for each finding, for a terminal."""
        marks = {"problem": "!", "note": "-", "good": "+"}
        return [self.headline, *(f"  {marks[item.level]} {item.text}" for item in self.findings)]

    def to_dict(self) -> dict[str, Any]:
        """Return what run.json keeps."""
        return {"headline": self.headline, "findings": [asdict(item) for item in self.findings]}


def diagnose(rows: Sequence[Row], facts: RunFacts) -> Diagnosis:
    """Read the rows of metrics.jsonl, training and held-out ones.

    Levels are means over the first and the last quarter of the logged rows; a sign counts when it
    is two standard errors away from 0. With fewer than eight logged rows only what doesn't need a
    trend is told; whether the model moved is measured after the last step, and told of every run.

    Args:
        rows: as logged; values that are None or not finite are passed over.
        facts: what the run was.
    """
    view = read_rows(rows)
    rules = (*_TRENDS, *_FACTS) if view.enough else (*_SHORT, *_FACTS)
    found = [finding for rule in rules if (finding := rule(view, facts)) is not None]
    order = {"problem": 0, "note": 1, "good": 2}
    ranked = sorted(found, key=lambda finding: order[finding.level])  # rules come in rank order
    return Diagnosis(ranked, _headline(ranked))


def _headline(findings: Sequence[Finding]) -> str:
    """The good news or none, then the first two problems."""
    by_level: Mapping[str, list[str]] = {
        level: [item.title for item in findings if item.level == level]
        for level in ("good", "problem", "note")
    }
    good, problems = by_level["good"][:1], by_level["problem"]
    told = problems[:2] + ([f"{len(problems) - 2} more below"] if len(problems) > 2 else [])
    if good and told:
        sentence = f"{good[0]}, but: {'; '.join(told)}"
    else:
        sentence = "; ".join(good or told or by_level["note"][:1] or ["nothing stands out"])
    return f"{sentence[:1].upper()}{sentence[1:]}."
