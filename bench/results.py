"""Hold what was measured, and give the ratios that it admits. Imports torch alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from clairkit.bench.measure.timing import Peak, Spread, first_rounds
from clairkit.bench.step.cases import StepCase
from clairkit.bench.step.parity import Parity

Status = Literal["ok", "unchecked", "PARITY FAILED", "OOM", "ERROR"]

OURS = "clairkit"
Json = Mapping[str, Any]  # an object as JSON has it


@dataclass(frozen=True)
class VariantResult:
    """One variant of a case. `unchecked`: the base was not there to compare with."""

    variant: str
    status: Status = "ok"
    seconds: tuple[float, ...] = ()  # of every counted round
    memory: Peak | None = None
    parity: Parity | None = None  # None for the base itself
    problem: str = ""


@dataclass(frozen=True)
class CaseResult:
    """All variants of one case; all but the base were held against it."""

    case: StepCase
    results: tuple[VariantResult, ...]
    base_name: str
    gradient_bytes: int = 0  # what every variant has to leave behind; part of its extra memory

    def time_ratio(self, result: VariantResult) -> Spread | None:
        """Return time / the base's time, or None where the two do not compare."""
        base = self._sound(self.base_name)
        if base is None or not self._comparable(result):
            return None
        return first_rounds(result.seconds, base.seconds)

    def memory_ratio(self, result: VariantResult) -> float | None:
        """Return peak extra memory / the base's, or None where the two do not compare."""
        base = self._sound(self.base_name)
        return None if base is None or not self._comparable(result) else _memory(result, base)

    def speed_ups(self) -> list[dict[str, Any]]:
        """Return how much faster and smaller clairkit's own is than every other that is sound."""
        ours, found = self._sound(OURS), []
        for other in self.results:
            if ours is None or self._sound(self.base_name) is None or other.variant == OURS:
                continue
            time = first_rounds(other.seconds, ours.seconds) if self._comparable(other) else None
            if time is not None:
                memory = {
                    "memory": _memory(other, ours),
                    "memory_without_gradients": _memory(other, ours, self.gradient_bytes),
                }
                found.append(
                    {"variant": OURS, "over": other.variant, "time": asdict(time), **memory}
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the case with every raw number."""
        return {
            "case": self.case.to_json(),
            "base": self.base_name,
            "gradient_bytes": self.gradient_bytes,
            "results": [self._variant_json(result) for result in self.results],
            "speed_ups": self.speed_ups(),
        }

    def _variant_json(self, result: VariantResult) -> dict[str, Any]:
        spread = Spread.of(result.seconds) if result.seconds else None
        ratio = self.time_ratio(result)
        return {
            "variant": result.variant,
            "status": result.status,
            "problem": result.problem,
            "parity": None if result.parity is None else finite(asdict(result.parity)),
            "seconds": list(result.seconds),
            "time": None if spread is None else asdict(spread),
            "time_ratio": None if ratio is None else asdict(ratio),
            "memory": None if result.memory is None else asdict(result.memory),
            "memory_ratio": self.memory_ratio(result),
        }

    def _sound(self, name: str) -> VariantResult | None:
        """Return the result of a variant that was measured and computes what the base does."""
        sound = (each for each in self.results if each.variant == name and self._comparable(each))
        return next(sound, None)

    def _comparable(self, result: VariantResult) -> bool:
        if result.status != "ok":
            return False
        return result.variant == self.base_name or (
            result.parity is not None and result.parity.passed
        )


def _memory(result: VariantResult, base: VariantResult, common: int = 0) -> float | None:
    """Return the ratio of two peaks, each less what is common to both."""
    if result.memory is None or base.memory is None:
        return None
    return max(result.memory.extra_bytes - common, 0) / max(base.memory.extra_bytes - common, 1)


def finite(value: Any) -> Any:
    """Return `value` with every NaN and infinity in it as None: JSON has no form for them."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    lines = []
    for entry in case.speed_ups():
        time, memory = entry["time"], entry["memory"]
        times = _range(Spread(**time), "{:.2f}".format)
        line = f"{OURS} over {entry['over']}: {time['median']:.2f}x in time ({times})"
        if memory is not None:
            without = entry["memory_without_gradients"]
            line += f", {memory:.2f}x in memory ({without:.2f}x without gradients)"
        lines.append(line)
    return lines


def number(value: float) -> str:
    """Return `value` with three digits that count."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _range(spread: Spread, form: Callable[[float], str]) -> str:
    return f"{form(spread.low)}-{form(spread.high)}"


def document(
    suite: str, cases: Iterable[CaseResult], machine: Json, settings: Json
) -> dict[str, Any]:
    """Return everything that was measured, as the JSON of `--json` has it.

    Args:
        suite: its name.
        cases: their results.
        machine: what it was measured on.
        settings: what was asked for.
    """
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
    versions = versions_text(machine)
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


def versions_text(machine: Json) -> str:
    """Return the versions of what was there."""
    versions = machine["versions"].items()
    return ", ".join(f"{name} {version}" for name, version in versions if version)


def _joined(value: str, spread: str) -> str:
    return value if spread == _NOTHING else f"{value} ({spread})"
