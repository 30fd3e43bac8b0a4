"""Turn a measured point into JSON; tables and plots are made from that. Imports torch alone.

A variant whose check failed has no time, no memory and no ratio. `against_bare` is its time over
that of the bare products, `against_ours` its time over that of `clairkit auto`: each the spread of
ratios taken within a round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from clairkit.bench.kernels.cases import KernelCase
from clairkit.bench.kernels.variants import OURS
from clairkit.bench.kernels.worker import Measured, Planned, Timed, bare_name
from clairkit.bench.measure.timing import Peak, Spread, first_rounds
from clairkit.bench.results import Json, finite

SCHEMA = 1

# NOT READY: it was given up, since it took too long. NOT MEASURED: the run ended before its turn.
Status = Literal["ok", "PARITY FAILED", "OOM", "ERROR", "NOT READY", "NOT MEASURED"]
_State = tuple[Status, str, Sequence[float]]  # status, problem, seconds


def point_json(
    case: KernelCase,
    backend: str,
    variants: Sequence[Planned],
    found: Mapping[str, Measured],
    timed: Timed | None,
    lost: str = "",
) -> dict[str, Any]:
    """Return a point with every raw number.

    Args:
        case: the point.
        backend: what `auto` takes, and why.
        variants: in order.
        found: their memory and accuracy, or what went wrong there.
        timed: the times of the point, None when they were lost.
        lost: why they were; "" when they are still to come.
    """
    tilings, products = (timed.tilings, timed.times.seconds) if timed else ({}, {})
    bare: dict[str, dict[str, Any]] = {
        str(count): {"seconds": products.get(bare_name(count), []), "tiling": tiling}
        for count, tiling in tilings.items()
    }
    states = {one.name: _state(one.name, found[one.name], timed, lost) for one in variants}
    peaks = {one.name: _peak(found[one.name], states[one.name]) for one in variants}
    is_sound = OURS in states and states[OURS][0] == "ok"
    seconds, peak = (states[OURS][2], peaks[OURS]) if is_sound else ((), None)
    return {
        "case": case.to_json(),
        "auto": backend,
        "bare": bare,
        "results": [
            {
                "variant": one.name,
                "group": one.group,
                "status": status,
                "problem": problem,
                "accuracy": finite(asdict(accuracy))
                if (accuracy := found[one.name].accuracy)
                else None,
                "seconds": list(times),
                "time": _spread(Spread.of(times) if times else None),
                "against_bare": {
                    count: _spread(first_rounds(times, product["seconds"]))
                    for count, product in bare.items()
                },
                "against_ours": _spread(first_rounds(times, seconds)),
                **_memory(peaks[one.name], peak),
            }
            for one, (status, problem, times) in zip(variants, states.values(), strict=True)
        ],
    }


def _state(name: str, measured: Measured, timed: Timed | None, lost: str) -> _State:
    accuracy = measured.accuracy
    if accuracy is None:
        return measured.status, measured.problem, ()
    if not accuracy.passed:
        return "PARITY FAILED", accuracy.problem, ()
    if lost:
        return "ERROR", lost, ()
    if timed is not None and name in timed.times.failed:
        return "OOM", timed.times.failed[name], ()
    if timed is None or name not in timed.times.seconds:
        return "NOT MEASURED", "its time is missing", ()
    return "ok", "", timed.times.seconds[name]


def _peak(measured: Measured, state: _State) -> Peak | None:
    """Return the memory of a variant that is sound, or lacks nothing but its time."""
    counts = state[0] == "ok" or (state[0] == "NOT MEASURED" and measured.passed)
    return measured.peak if counts else None


def _memory(peak: Peak | None, ours: Peak | None) -> Json:
    if peak is None:
        return {"memory": None, "memory_against_ours": None}
    ratio = None if ours is None else peak.extra_bytes / max(ours.extra_bytes, 1)
    return {"memory": asdict(peak), "memory_against_ours": ratio}


def _spread(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)
