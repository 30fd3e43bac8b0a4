"""Show results as rows of a table, as Markdown, and as one JSON object. Imports torch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from clairkit.bench.measure.timing import Spread
from clairkit.bench.results import OURS, CaseResult, Json, SpeedUp, VariantResult

SCHEMA = 2
COLUMNS = ("variant", "s", "range", "time", "of", "MB", "memory")
NOTE = (
    "s: median seconds of a step (forward, loss, backward, clipping, optimizer), with the range of "
    "all rounds. time: ratio to the first variant, the median over rounds in which both took "
    "turns; of: its range. MB: peak beyond weights and optimizer (10^6 bytes, gradients included). "
    "memory: its ratio."
)
_NOTHING = "-"
_MB = 1e6


def rows(case: CaseResult) -> list[list[str]]:
    """Return a row of `COLUMNS` for every variant; no ratio for one that failed its check."""
    return [_row(case, result) for result in case.results]


def _row(case: CaseResult, result: VariantResult) -> list[str]:
    seconds = Spread.of(result.seconds) if result.seconds else None
    ratio = case.time_ratio(result)
    memory = None if result.memory is None else result.memory.extra_bytes / _MB
    share = case.memory_ratio(result)
    time = _NOTHING if ratio is None else f"{ratio.median:.2f}x"
    return [
        result.variant,
        _NOTHING if seconds is None else number(seconds.median),
        _NOTHING if seconds is None else _range(seconds, number),
        time if result.status == "ok" else result.status,
        _NOTHING
        if ratio is None or result.variant == case.base_name
        else _range(ratio, "{:.2f}".format),
        _NOTHING if memory is None or result.status == "PARITY FAILED" else number(memory),
        _NOTHING if share is None else f"{share:.2f}x",
    ]


def speed_ups(case: CaseResult) -> list[str]:
    """Return a line for each variant that clairkit's own compares with."""
    return [_line(entry) for entry in case.speed_ups(OURS)]


def _line(entry: SpeedUp) -> str:
    times = _range(entry.time, "{:.2f}".format)
    line = f"{entry.variant} over {entry.over}: {entry.time.median:.2f}x in time ({times})"
    if entry.memory is None or entry.memory_without_gradients is None:
        return line
    return (
        f"{line}, {entry.memory:.2f}x in memory "
        f"({entry.memory_without_gradients:.2f}x without gradients)"
    )


def number(value: float) -> str:
    """Return `value` with three digits that count."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _range(spread: Spread, form: Callable[[float], str]) -> str:
    return f"{form(spread.low)}-{form(spread.high)}"


def document(
    suite: str, cases: Iterable[CaseResult], machine: Json, settings: Json
) -> dict[str, Any]:
    """Return everything that was measured, as the JSON of `--json` has it."""
    found = list(cases)
    return {
        "schema": SCHEMA,
        "suite": suite,
        "machine": dict(machine),
        "settings": dict(settings),
        "cases": [case.to_json() for case in found],
        "parity_failed": [
            f"{case.case.name}: {result.variant}"
            for case in found
            for result in case.results
            if result.status == "PARITY FAILED"
        ],
    }


def markdown(document: Json, cases: Sequence[CaseResult]) -> str:
    """Return the machine and one table of all cases, ready for a page of documentation."""
    lines = [describe(document["machine"], document["settings"]), ""]
    lines.append("| case | variant | s (range) | time (range) | MB | memory |")
    lines.append("|---|---|---:|---:|---:|---:|")
    for case in cases:
        name = f"`{case.case.name}`"
        for variant, seconds, spread, time, times, memory, share in rows(case):
            cells = (name, variant, _joined(seconds, spread), _joined(time, times), memory, share)
            lines.append(f"| {' | '.join(cells)} |")
            name = ""
    told = [f"- `{case.case.name}`: {line}" for case in cases for line in speed_ups(case)]
    lines += ["", *told] if told else []
    return "\n".join(lines)


def describe(machine: Json, settings: Json) -> str:
    """Return in a few sentences where and how it was measured."""
    versions = ", ".join(
        f"{name} {version}" for name, version in machine["versions"].items() if version
    )
    peers = ", ".join(
        f"{name} {version}" if version else name for name, version in settings["peers"].items()
    )
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['simd']}, device {machine['device']}; {versions}; peers {peers}; commit "
        f"{machine['commit'] or 'unknown'}. {settings['rounds']} rounds after "
        f"{settings['warmup']} for warming up. Load average {settings['load_before']} before, "
        f"{settings['load_after']} after; {settings['wall_seconds']:.0f} s in all."
    )


def _joined(value: str, spread: str) -> str:
    return value if spread == _NOTHING else f"{value} ({spread})"
