"""Read a run's metrics in plain language: what happened, what it rests on, what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clairkit.runs.diagnosis import inputs, moved, symptoms
from clairkit.runs.diagnosis.direction import direction
from clairkit.runs.diagnosis.facts import (
    Finding,
    Movement,
    RunFacts,
    Severity,
    from_json,
    headline,
    tell,
    variant_alarm,
)
from clairkit.runs.diagnosis.trajectory import Row, Trajectory, read_rows

__all__ = ["Diagnosis", "Finding", "Movement", "RunFacts", "diagnose", "retold", "variant_alarm"]


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
        """Return the headline and a line for each finding, for a terminal."""
        marks = {"problem": "!", "note": "-", "good": "+"}
        return [self.headline, *(f"  {marks[item.level]} {item.text}" for item in self.findings)]

    def to_dict(self) -> dict[str, Any]:
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


def retold(told: Mapping[str, Any], code: str) -> Diagnosis:
    """Return the diagnosis that `run.json` keeps, in a language as far as it can be told again.

    What an earlier version kept, or what is damaged, stays as it is.
    """
    kept = told.get("findings")
    items = [each for each in kept if isinstance(each, Mapping)] if isinstance(kept, list) else []
    findings = [_retold(each, code) for each in items]
    if all(finding.said for finding in findings) and findings:
        return Diagnosis(findings, _headline(findings, code))
    return Diagnosis(findings, str(told.get("headline", "")))


def _retold(item: Mapping[str, Any], code: str) -> Finding:
    kind, title, text = (str(item.get(key, "")) for key in ("kind", "title", "text"))
    level = item.get("level")
    known: Severity = level if level in ("problem", "good") else "note"  # it picks a style
    try:
        said = from_json(item["said"])
        return Finding(kind, *tell(said, code), {}, known, said.to_json())
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, RecursionError):
        return Finding(kind, title, text, {}, known)


def _headline(findings: Sequence[Finding], code: str = "en") -> str:
    by_level: Mapping[str, list[str]] = {
        level: [item.title for item in findings if item.level == level]
        for level in ("good", "problem", "note")
    }
    return headline(by_level["good"], by_level["problem"], by_level["note"], code)
