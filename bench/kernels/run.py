"""Run the kernel suite once: choose its points, keep results as they come, judge them.

Shared by `clairkit bench --suite kernels` and `python -m clairkit.bench.kernels`. Imports torch
alone.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clairkit.bench.kernels.cases import CPU, GPU, QUICK, KernelCase, select
from clairkit.bench.kernels.results import SCHEMA
from clairkit.bench.kernels.suite import KernelSuite, Say
from clairkit.bench.kernels.worker import KernelSettings
from clairkit.bench.measure.machine import describe_machine, load
from clairkit.bench.peers import PEERS, check_names
from clairkit.bench.results import Json

DEFAULT_PEERS = ("trl", "liger", "cce", "torch")
Document = dict[str, Any]
Point = dict[str, Any]
_UNFINISHED = ("NOT READY", "NOT MEASURED")  # what is resumed is measured again


@dataclass(frozen=True)
class Choices:
    """What a caller may choose."""

    cases: Sequence[str] = ()  # names or patterns
    quick: bool = False
    peers: Sequence[str] = DEFAULT_PEERS
    device: str = "cpu"
    rounds: int = 3
    budget_minutes: float | None = None  # no point is begun later
    output: Path | None = None  # of the JSON, written whenever there is more of it
    resume: bool = False  # keep the points that `output` holds
    commit: str | None = None  # where no git can tell
    apart: bool | None = None  # as `KernelSettings`; None: on a GPU
    ready_seconds: float = KernelSettings.ready_seconds

    @classmethod
    def of(cls, options: Json, output: Path | None) -> Choices:
        """Return what the options of a command line say, by their names in `bench.options`."""
        peers, bare = options["peers"], ("commit", "apart", "ready_seconds")
        return cls(
            options["case"],
            options["quick"],
            DEFAULT_PEERS if peers is None else [name for name in peers.split(",") if name],
            options["device"],
            options["rounds"] or 3,
            options["budget_minutes"],
            output,
            options["resume"],
            **{name: options[name] for name in bare if options.get(name)},
        )

    def points(self) -> list[KernelCase]:
        """Return the points that are asked for.

        Raises:
            ValueError: there is none of that name.
        """
        whole = GPU if torch.device(self.device).type == "cuda" else CPU
        return select(self.cases, QUICK if self.quick else whole)

    def settings(self) -> KernelSettings:
        on_gpu = torch.device(self.device).type == "cuda"
        apart = on_gpu if self.apart is None else self.apart
        return KernelSettings(
            self.device,
            torch.get_num_threads(),
            self.rounds,
            apart=apart,
            ready_seconds=self.ready_seconds,
        )


def measure(choices: Choices, say: Say, show: Callable[[Point], None]) -> Document:
    """Measure, call `show` with every finished point, and return the document.

    Raises:
        ValueError: a case or a peer is unknown, or what is to be resumed is of another machine.
    """
    cases, peers, settings = choices.points(), check_names(list(choices.peers)), choices.settings()
    suite = KernelSuite(cases, settings, peers)
    machine = describe_machine(choices.device, settings.threads, _packages())
    machine["commit"] = machine["commit"] or choices.commit
    points = _kept(choices, machine, suite) if choices.resume else {}
    done = {name: point for name, point in points.items() if _finished(point, suite)}
    start, before = time.monotonic(), load()
    deadline = start + 60 * (math.inf if choices.budget_minutes is None else choices.budget_minutes)
    latest: Document | None = None

    def so_far() -> Document:
        wall = round(time.monotonic() - start, 1)
        loads = {"load_before": before, "load_after": load(), "wall_seconds": wall}
        return _document(suite, machine, _in_order(points.values(), cases)) | loads

    def keep(point: Point) -> None:
        nonlocal latest
        points[point["case"]["name"]] = point
        latest = so_far()
        if choices.output is not None:
            write_json(choices.output, latest)

    def tell(text: str) -> None:
        say(f"{time.monotonic() - start:6.1f} s  {text}")

    for point in suite.run(tell, keep, done=done, deadline=deadline):
        keep(point)
        show(point)
    return latest or so_far()


def _packages() -> list[str]:
    """Return the packages whose versions are told: every peer's, measured or not."""
    return list(
        dict.fromkeys(["clairkit", "torch", "triton", *(p.package for p in PEERS.values())])
    )


def _document(suite: KernelSuite, machine: Json, points: list[Point]) -> Document:
    there = {point["case"]["name"] for point in points}
    return {
        "schema": SCHEMA,
        "suite": "kernels",
        "machine": dict(machine),
        "settings": {
            "rounds": suite.settings.rounds,
            "patience": suite.settings.patience,
            "apart": suite.settings.apart,
            "ready_seconds": suite.settings.ready_seconds,
            "peers": list(suite.peers),
        },
        "absent": suite.absent(),
        "not_measured": [case.name for case in suite.cases if case.name not in there],
        "points": points,
        "parity_failed": _named(points, "PARITY FAILED"),
    }


def _in_order(points: Iterable[Point], cases: Sequence[KernelCase]) -> list[Point]:
    places = {case.name: index for index, case in enumerate(cases)}
    return sorted(points, key=lambda point: places.get(point["case"]["name"], len(places)))


def _named(points: Iterable[Point], status: str, group: str | None = None) -> list[str]:
    return [
        f"{point['case']['name']}: {result['variant']}"
        for point in points
        for result in point["results"]
        if result["status"] == status and group in (None, result["group"])
    ]


def _kept(choices: Choices, machine: Json, suite: KernelSuite) -> dict[str, Point]:
    """Return the points of the file that this run may go on from, or knows nothing of."""
    if choices.output is None or not choices.output.exists():
        return {}
    found = json.loads(choices.output.read_text(encoding="utf-8"))
    same = ("device", "cpu", "threads", "versions", "commit")
    for name in same:
        before, now = found.get("machine", {}).get(name), json.loads(json.dumps(machine[name]))
        if before != now:
            raise ValueError(
                f"can't resume {choices.output}: its {name} is {before!r}, here it is "
                f"{now!r}; give another file or leave --resume out"
            )
    cases = {case.name: case.to_json() for case in suite.cases}
    return {
        name: point
        for point in found["points"]
        if (name := point["case"]["name"]) not in cases or point["case"] == cases[name]
    }


def _finished(point: Point, suite: KernelSuite) -> bool:
    """Tell whether a point need not be measured again."""
    wanted = set(suite.peers) - set(suite.absent())
    return wanted <= {one["group"] for one in point["results"]} and not any(
        one["status"] in _UNFINISHED for one in point["results"]
    )


def write_json(target: Path, document: Document) -> None:
    """Write the document so that the file is always a whole one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    beside.write_text(f"{text}\n", encoding="utf-8")
    beside.replace(target)


def verdict(document: Document) -> tuple[int, str]:
    """Return (exit code, what it says).

    0: all well. 7: a check failed. 4: one of ours, or any variant's code, failed; a peer that ran
    out of memory, or of time, is a result. 5: nothing could be measured.
    """
    points = document["points"]
    if wrong := document["parity_failed"]:
        return 7, f"parity failed, {len(wrong)} in all: {wrong[0]}"
    lost = _named(points, "ERROR")
    lost += [one for status in ("OOM", *_UNFINISHED) for one in _named(points, status, "clairkit")]
    if not any(result["status"] == "ok" for point in points for result in point["results"]):
        return 5, f"nothing could be measured ({[*lost, 'the time was over'][0]})"
    if lost:
        return 4, f"not measured, {len(lost)} in all: {lost[0]}"
    return 0, ""
