"""Hold the health card: what a probe found, against thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from clairkit import __version__
from clairkit.probe.measures import FaultCount, Mean, Rate
from clairkit.probe.observe import Observation
from clairkit.records.json_types import JsonMapping

Verdict = Literal["pass", "fail", "undecided", "not probed"]
State = Literal["healthy", "unhealthy", "undecided"]


@dataclass(frozen=True)
class ProbeFinding:
    """One line of the card. Attribute `name` is that of its threshold."""

    name: str
    label: str
    rate: Rate
    threshold: float

    @property
    def verdict(self) -> Verdict:
        """Return how the interval lies to the threshold."""
        interval = self.rate.interval
        if interval is None:
            return "not probed"
        if interval.low >= self.threshold:
            return "pass"
        return "fail" if interval.high < self.threshold else "undecided"

    def to_json(self) -> dict[str, object]:
        """Return the line."""
        line = {"label": self.label, **self.rate.to_json()}
        return {**line, "threshold": self.threshold, "verdict": self.verdict}


@dataclass(frozen=True)
class SliceCount:
    """What became of the good answers of one group, as they are and with faults."""

    untouched: Rate
    faults: FaultCount

    def to_json(self) -> dict[str, object]:
        """Return the counts."""
        return {"untouched": self.untouched.to_json(), **self.faults.to_json()}


@dataclass(frozen=True)
class HealthCard:
    """What a probe found.

    Attributes:
        about: who was probed and how: models, template, sampling, as a run's settings.
        findings: against thresholds.
        kinds: planted faults by kind.
        slices: good answers by group.
        rows: what would become of the drawn rows: `pair`, or reason codes.
        unusable: replies that a run would not take, by reason.
        lost: cases without a result by reason: a server failed, say; in no share.
        open: cases that a run which was stopped did not finish; in no share.
        agreement: of repeated revisions, see `measures.agreements`.
        changed_for_better: of the good answers that were changed, those whose revision the judge
            prefers.
        judge_consistent: comparisons in which both orders gave the same verdict.
        spent: calls, tokens and cost of the probe.
        examples: cases to look at: good answers that were changed, and faults that were missed.
    """

    about: Mapping[str, object]
    findings: tuple[ProbeFinding, ...]
    kinds: Mapping[str, FaultCount]
    slices: Mapping[str, SliceCount]
    rows: Mapping[str, int]
    unusable: Mapping[str, int]
    lost: Mapping[str, int]
    agreement: Mean
    changed_for_better: Rate
    judge_consistent: Rate
    spent: JsonMapping
    open: int = 0
    examples: tuple[Observation, ...] = field(default=(), repr=False)

    @property
    def judge_counts(self) -> bool:
        """Return whether the judge saw enough of the planted faults, as far as can be told."""
        return self.finding("judge_right").verdict != "fail"

    @property
    def aside(self) -> frozenset[str]:
        """Return the lines that say nothing of the reviser."""
        return frozenset(("judge_right", *(() if self.judge_counts else ("preferred",))))

    @property
    def state(self) -> State:
        """Return `unhealthy` when a line fails, `healthy` when all that was probed pass.

        Good answers and planted faults have to be among it. How good the judge is says nothing of
        the reviser, and what a bad judge prefers neither.
        """
        verdicts = {
            each.name: each.verdict for each in self.findings if each.name not in self.aside
        }
        if "fail" in verdicts.values():
            return "unhealthy"
        is_probed = verdicts["untouched"] == verdicts["fixed"] == "pass"
        is_settled = is_probed and "undecided" not in verdicts.values() and not self.open
        return "healthy" if is_settled else "undecided"

    def finding(self, name: str) -> ProbeFinding:
        """Return the line of that name."""
        return next(finding for finding in self.findings if finding.name == name)

    def to_json(self) -> dict[str, object]:
        """Return the card as one object."""
        return {
            "clairkit": __version__,
            "state": self.state,
            "about": dict(self.about),
            "findings": {finding.name: finding.to_json() for finding in self.findings},
            "kinds": {name: count.to_json() for name, count in self.kinds.items()},
            "slices": {name: count.to_json() for name, count in self.slices.items()},
            "rows": dict(self.rows),
            "unusable": dict(self.unusable),
            "lost": dict(self.lost),
            "open": self.open,
            "agreement": self.agreement.to_json(),
            "changed_for_better": self.changed_for_better.to_json(),
            "judge_consistent": self.judge_consistent.to_json(),
            "spent": dict(self.spent),
        }
