"""Hold one figure of an evaluation with all that it rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from clairkit.records.json_types import JsonObject
from clairkit.statistics.estimates import Estimate

Kind = Literal[
    "check", "judge", "length-controlled judge", "elo", "people", "blend", "kpi", "seeds"
]


@dataclass(frozen=True)
class Signal:
    """One row of the table: what was estimated, of whom, from how much.

    Attributes:
        signal: what it rests on.
        model: the candidate's name.
        against: the baseline's name; None for a figure of one model alone.
        n: prompts it rests on.
        clusters: groups of prompts that were drawn together; `n` where each stands alone.
        estimate: a share, a change or a difference, in `unit`.
        low: lower end of the interval.
        high: upper end of the interval.
        level: of the interval, in (0, 1).
        method: how the interval was made, in the field's words.
        unit: "share", "points", "elo", or the KPI's own.
        name: the judge's spec, the KPI's name, or the like; "" where there is one alone.
        is_defined: False where there is too little to say anything; then the figures are None.
        notes: what a reader has to know beside the figure.
        details: figures of this kind of signal alone, such as a judge's consistency.
    """

    signal: Kind
    model: str
    against: str | None
    n: int
    clusters: int
    estimate: float | None
    low: float | None
    high: float | None
    level: float
    method: str
    unit: str = "share"
    name: str = ""
    is_defined: bool = True
    notes: tuple[str, ...] = ()
    details: JsonObject | None = None

    def to_json(self) -> JsonObject:
        """Return the signal as `eval.json` holds it."""
        return asdict(self)


def signal_of(
    kind: Kind,
    found: Estimate,
    *,
    model: str,
    against: str | None,
    unit: str = "share",
    name: str = "",
    notes: tuple[str, ...] = (),
    details: JsonObject | None = None,
) -> Signal:
    """Return the signal of an estimate, its notes and its standard error with it.

    Args:
        kind: what it rests on.
        found: the estimate; without an interval it says nothing, and has no ends.
        model: the candidate's name.
        against: the baseline's; None for a figure of one model alone.
        unit: of the estimate.
        name: tells signals of one kind apart.
        notes: what a reader has to know, beside the estimate's own notes.
        details: figures of this kind alone.
    """
    return Signal(
        signal=kind,
        model=model,
        against=against,
        n=found.n,
        clusters=found.clusters,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        level=found.level,
        method=found.method,
        unit=unit,
        name=name,
        is_defined=not found.is_too_few,
        notes=(*(str(note) for note in found.notes), *notes),
        details={"standard_error": found.standard_error, **(details or {})},
    )
