"""Make the health card of a probe's cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from clairkit.probe.card import HealthCard, ProbeFinding, SliceCount
from clairkit.probe.cases import Thresholds
from clairkit.probe.measures import (
    Rate,
    agreements,
    count_faults,
    grouped,
    mean,
    rate,
)
from clairkit.probe.observe import Observation
from clairkit.records.json_types import JsonMapping

CAREFUL = 0.02
"""The share of the text around a fault that a careful revision may change."""
STEADY = 0.5
"""The least agreement of a steady answer's revisions."""
_SHOWN = 3  # examples of each sort


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
        findings=_findings(held, thresholds),
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


def _findings(held: Sequence[Observation], thresholds: Thresholds) -> tuple[ProbeFinding, ...]:
    return tuple(
        ProbeFinding(name, label, measure(held), getattr(thresholds, name))
        for name, (label, measure) in _FINDINGS.items()
    )


def _usable(held: Sequence[Observation]) -> Rate:
    # Repeats of one answer are no further evidence.
    return rate(each.is_kept for each in held if not each.case.repeat)


def _untouched(held: Sequence[Observation]) -> Rate:
    good = (each for each in held if each.case.probe == "untouched")
    return rate(each.is_untouched for each in good if each.is_kept)


def _fixed(held: Sequence[Observation]) -> Rate:
    return count_faults(held).fixed


def _careful(held: Sequence[Observation]) -> Rate:
    shares = (each.collateral for each in held)
    return rate(share <= CAREFUL for share in shares if share is not None)


def _steady(held: Sequence[Observation]) -> Rate:
    return rate(share >= STEADY for share in agreements(held))


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
    "fixed": ("planted faults mended", _fixed),
    "careful": ("changes that keep to the fault", _careful),
    "steady": ("answers revised alike each time", _steady),
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
