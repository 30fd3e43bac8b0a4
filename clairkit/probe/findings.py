"""Hold the health card of a probe, and make it of the probe's cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from clairkit import __version__
from clairkit.probe.cases import Thresholds
from clairkit.probe.measures import (
    FaultCount,
    Mean,
    Rate,
    agreements,
    count_faults,
    grouped,
    mean,
    rate,
)
from clairkit.probe.observe import Observation
from clairkit.records.json_types import JsonMapping

Verdict = Literal["pass", "fail", "undecided", "not probed"]
State = Literal["healthy", "unhealthy", "undecided"]

CAREFUL = 0.02
"""The share of the text around a fault that a careful revision may change."""
STEADY = 0.5
"""The least agreement of a steady answer's revisions."""
_SHOWN = 3  # examples of each sort


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


def make_card(
    seen: Sequence[Observation],
    *,
    about: Mapping[str, object],
    spent: JsonMapping,
    thresholds: Thresholds,
    unfinished: int = 0,
) -> HealthCard:
    """Return the card of a probe's cases.

    Args:
        seen: the cases that are done.
        about: who was probed and how.
        spent: what it took.
        thresholds: what a healthy reviser reaches.
        unfinished: cases that are not done.
    """
    held = [each for each in seen if not each.is_lost]
    good = [each for each in held if each.case.probe == "untouched"]
    faulty = [each for each in held if each.case.fault is not None]
    repeats = [each for each in held if each.case.probe == "repeat"]
    first = [each for each in repeats if not each.case.repeat]
    return HealthCard(
        about=about,
        findings=tuple(
            ProbeFinding(name, label, measure(held), getattr(thresholds, name))
            for name, (label, measure) in _FINDINGS.items()
        ),
        kinds={name: count_faults(cases) for name, cases in grouped(faulty, "kind").items()},
        slices={
            name: SliceCount(_untouched(cases), count_faults(cases))
            for name, cases in grouped([*good, *faulty], "slice").items()
        },
        rows=_counted(each.reason or "pair" for each in first),
        unusable=_counted(
            each.reason or "" for each in held if not each.is_kept and not each.case.repeat
        ),
        lost=_counted(each.reason or "" for each in seen if each.is_lost),
        agreement=mean(agreements(repeats)),
        changed_for_better=_preferred(good),
        judge_consistent=rate(
            each.judgement.consistent
            for each in held
            if each.judgement is not None and each.judgement.winner
        ),
        spent=spent,
        open=unfinished,
        examples=_examples(good, faulty),
    )


def _usable(held: Sequence[Observation]) -> Rate:
    # Repeats of one answer are no further evidence.
    return rate(each.is_kept for each in held if not each.case.repeat)


def _untouched(held: Sequence[Observation]) -> Rate:
    good = (each for each in held if each.case.probe == "untouched")
    return rate(each.is_untouched for each in good if each.is_kept)


def _careful(held: Sequence[Observation]) -> Rate:
    shares = (each.collateral for each in held)
    return rate(share <= CAREFUL for share in shares if share is not None)


def _preferred(held: Iterable[Observation]) -> Rate:
    """Return how often the judge prefers the revision."""
    return _won(held, "second")


def _preferred_rows(held: Sequence[Observation]) -> Rate:
    return _preferred(each for each in held if each.case.probe == "repeat")


def _judge_right(held: Sequence[Observation]) -> Rate:
    """Return how often the judge prefers the original to the answer with the fault."""
    return _won((each for each in held if each.case.fault is not None), "first")


def _won(held: Iterable[Observation], side: str) -> Rate:
    judged = (each.judgement for each in held)
    return rate(each.winner == side for each in judged if each is not None and each.winner)


_FINDINGS: dict[str, tuple[str, Callable[[Sequence[Observation]], Rate]]] = {
    "usable": ("replies that a run would take", _usable),
    "untouched": ("good answers left untouched", _untouched),
    "fixed": ("planted faults mended", lambda held: count_faults(held).fixed),
    "careful": ("changes that keep to the fault", _careful),
    "steady": (
        "answers revised alike each time",
        lambda held: rate(share >= STEADY for share in agreements(held)),
    ),
    "preferred": ("revisions preferred by the judge", _preferred_rows),
    "judge_right": ("planted faults seen by the judge", _judge_right),
}
"""By the name of the threshold: what people read, and the measure."""


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _examples(
    good: Sequence[Observation], faulty: Sequence[Observation]
) -> tuple[Observation, ...]:
    changed = [each for each in good if each.is_kept and not each.is_untouched]
    missed = [each for each in faulty if each.repair == "missed"]
    careless = [each for each in faulty if (each.collateral or 0.0) > CAREFUL]
    careless.sort(key=lambda each: -(each.collateral or 0.0))
    shown = (*changed[:_SHOWN], *missed[:_SHOWN], *careless[:_SHOWN])
    return tuple({id(each): each for each in shown}.values())
