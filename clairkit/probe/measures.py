"""Measure a probe's cases: shares and means with their intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from clairkit.intervals import Interval, mean_interval, wilson
from clairkit.probe.observe import Observation
from clairkit.scoring import align, units_of


@dataclass(frozen=True)
class Rate:
    """How often something was so."""

    hits: int
    n: int

    @property
    def share(self) -> float | None:
        """Return hits / n; None for n = 0."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> Interval | None:
        """Return Wilson's interval, 95 %; None for n = 0."""
        return wilson(self.hits, self.n) if self.n else None

    def to_json(self) -> dict[str, object]:
        """Return hits, n, share and interval."""
        return {"hits": self.hits, "n": self.n, "share": self.share, **_ends(self.interval)}


@dataclass(frozen=True)
class Mean:
    """The mean of some values in [0, 1], None for none, and its bootstrap interval, 95 %."""

    n: int
    mean: float | None
    interval: Interval | None

    def to_json(self) -> dict[str, object]:
        """Return n, mean and interval."""
        return {"n": self.n, "mean": self.mean, **_ends(self.interval)}


@dataclass(frozen=True)
class FaultCount:
    """What became of some planted faults.

    `collateral` is the mean change around them, of the answers in which anything was changed.
    """

    fixed: Rate
    changed: int
    missed: int
    collateral: Mean

    def to_json(self) -> dict[str, object]:
        """Return the counts."""
        return {
            "fixed": self.fixed.to_json(),
            "changed": self.changed,
            "missed": self.missed,
            "collateral": self.collateral.to_json(),
        }


def rate(hits: Iterable[bool]) -> Rate:
    """Return how many of `hits` are true, of how many."""
    counted = list(hits)
    return Rate(sum(counted), len(counted))


def mean(values: Iterable[float]) -> Mean:
    """Return the mean of the values."""
    held = list(values)
    return Mean(len(held), fmean(held), mean_interval(held)) if held else Mean(0, None, None)


def count_faults(seen: Iterable[Observation]) -> FaultCount:
    """Return what became of the planted faults among the cases whose revision is kept."""
    cases = [each for each in seen if each.repair is not None]
    found = [each.repair for each in cases]
    return FaultCount(
        fixed=rate(each == "fixed" for each in found),
        changed=found.count("changed"),
        missed=found.count("missed"),
        collateral=mean(each.collateral for each in cases if each.collateral is not None),
    )


def grouped(seen: Iterable[Observation], name: str) -> dict[str, list[Observation]]:
    """Return the cases by `slice`, or by the `kind` of their faults, in order of the names."""
    groups: dict[str, list[Observation]] = defaultdict(list)
    for each in seen:
        fault = each.case.fault
        groups[each.case.slice if name == "slice" else fault.kind if fault else ""].append(each)
    return {key: groups[key] for key in sorted(groups)}


def agreements(seen: Iterable[Observation]) -> list[float]:
    """Return for each answer of the `repeat` probe how far its revisions agree, if it has two.

    For two revisions it is |E n F| / |E u F|, of the places E and F of the answer that they edit:
    graphemes that are gone, and gaps where something is new. 1 when both leave it untouched, 0
    when only one does. For more, the mean over all twos.
    """
    rows: dict[str, list[Observation]] = defaultdict(list)
    for each in seen:
        if each.case.probe == "repeat" and each.is_kept:
            rows[each.case.row.id].append(each)
    edits = ([_edited(each) for each in repeats] for repeats in rows.values() if len(repeats) > 1)
    return [
        fmean(len(a & b) / len(a | b) if a or b else 1.0 for a, b in combinations(each, 2))
        for each in edits
    ]


def _edited(seen: Observation) -> set[tuple[str, int]]:
    if seen.is_untouched:
        return set()
    places: set[tuple[str, int]] = set()
    answer, revision = units_of(seen.answer or "", None), units_of(seen.revision or "", None)
    for span in align(answer, revision).spans:
        places |= {("gone", at) for at in range(span.rejected_start, span.rejected_end)}
        if span.chosen_end > span.chosen_start:
            places.add(("new", span.rejected_start))
    return places


def _ends(interval: Interval | None) -> Mapping[str, Sequence[float] | None]:
    return {"interval": None if interval is None else [interval.low, interval.high]}
