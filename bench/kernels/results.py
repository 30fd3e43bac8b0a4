"""Turn a measured point into JSON; tables and plots are made from that. Imports torch alone.

A variant whose check failed has no time, no memory and no ratio. `against_bare` is its time over
that of the bare products, `against_ours` its time over that of `clairkit auto`: each the spread of
ratios taken within a round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.variants import OURS
from clairkit.bench.kernels.worker import Measured, Planned, Timed, bare_name
from clairkit.bench.measure.timing import Spread, first_rounds
from clairkit.bench.results import Json, finite

SCHEMA = 1

# NOT READY: it was given up, since it took too long. NOT MEASURED: the run ended before its turn.
Status = Literal["ok", "PARITY FAILED", "OOM", "ERROR", "NOT READY", "NOT MEASURED"]


@dataclass(frozen=True)
class MeasuredPoint:
    """What is known of one variant of a point."""

    planned: Planned
    status: Status
    problem: str
    measured: Measured
    seconds: tuple[float, ...] = ()

    @property
    def sound(self) -> bool:
        """Tell whether its check was passed, so that its figures count."""
        accuracy = self.measured.accuracy
        return self.status == "ok" and accuracy is not None and accuracy.passed

    @property
    def weighed(self) -> bool:
        """Tell whether its memory counts: it is sound, or lacks nothing but its time."""
        return self.sound or (self.status == "NOT MEASURED" and self.measured.passed)


def entry(planned: Planned, measured: Measured, timed: Timed | None, lost: str) -> MeasuredPoint:
    """Return a variant's result from what its processes told.

    Args:
        planned: the variant.
        measured: its memory and accuracy, or what went wrong there.
        timed: the times of the point, None when they were lost.
        lost: why they were; "" when they are still to come.
    """
    accuracy = measured.accuracy
    if accuracy is None:
        return MeasuredPoint(planned, measured.status, measured.problem, measured)
    if not accuracy.passed:
        return MeasuredPoint(planned, "PARITY FAILED", accuracy.problem, measured)
    if lost:
        return MeasuredPoint(planned, "ERROR", lost, measured)
    if timed is None or planned.name not in {**timed.times.seconds, **timed.times.failed}:
        return MeasuredPoint(planned, "NOT MEASURED", "its time is missing", measured)
    if planned.name in timed.times.failed:
        return MeasuredPoint(planned, "OOM", timed.times.failed[planned.name], measured)
    seconds = tuple(timed.times.seconds.get(planned.name, ()))
    return MeasuredPoint(planned, "ok", "", measured, seconds)


def point_json(
    case: KernelCase, backend: str, entries: Sequence[MeasuredPoint], timed: Timed | None
) -> dict[str, Any]:
    """Return a point with every raw number."""
    bare = (
        {}
        if timed is None
        else {
            str(count): {"seconds": timed.times.seconds.get(bare_name(count), []), "tiling": tiling}
            for count, tiling in timed.tilings.items()
        }
    )
    ours = next((one for one in entries if one.planned.name == OURS and one.sound), None)
    return {
        "case": case.to_json(),
        "auto": backend,
        "bare": bare,
        "results": [_entry_json(one, bare, ours) for one in entries],
    }


def _entry_json(one: MeasuredPoint, bare: Json, ours: MeasuredPoint | None) -> dict[str, Any]:
    accuracy, peak = one.measured.accuracy, one.measured.peak
    seconds = one.seconds if one.sound else ()
    ratios = {count: first_rounds(seconds, found["seconds"]) for count, found in bare.items()}
    against = None if ours is None else first_rounds(seconds, ours.seconds)
    return {
        "variant": one.planned.name,
        "group": one.planned.group,
        "status": one.status,
        "problem": one.problem,
        "accuracy": None if accuracy is None else finite(asdict(accuracy)),
        "seconds": list(seconds),
        "time": _spread_json(Spread.of(seconds) if seconds else None),
        "against_bare": {count: _spread_json(ratio) for count, ratio in ratios.items()},
        "against_ours": _spread_json(against),
        "memory": asdict(peak) if peak is not None and one.weighed else None,
        "memory_against_ours": _memory_ratio(one, ours),
    }


def _memory_ratio(one: MeasuredPoint, ours: MeasuredPoint | None) -> float | None:
    if ours is None or not one.weighed or one.measured.peak is None or ours.measured.peak is None:
        return None
    return one.measured.peak.extra_bytes / max(ours.measured.peak.extra_bytes, 1)


def _spread_json(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)
