"""The processes of a point: what is late, wrong, dead or never begun, and what is kept when."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clairkit.bench.kernels import scheduler
from clairkit.bench.kernels.cases import QUICK
from clairkit.bench.kernels.report import problems, text_table
from clairkit.bench.kernels.results import point_json
from clairkit.bench.kernels.scheduler import PoolPoint, VariantPool, end_all
from clairkit.bench.kernels.truth import Accuracy
from clairkit.bench.kernels.worker import BARE, KernelSettings, Measured, Planned, Timed
from clairkit.bench.measure.timing import Peak
from clairkit.bench.measure.worker_process import ProcessOutcome

CASE = QUICK[0]  # a frozen head
OURS = Planned("clairkit auto", "clairkit", 0.0)
EAGER = Planned("eager", "eager", 0.0)


class Manner(NamedTuple):
    """How a variant behaves, in seconds of the clock."""

    ready: float = 1.0
    step: float = 0.5
    problem: str = ""  # of its check
    fails: int = 10**9  # the turn in which its process ends


@dataclass
class World:
    """A clock that moves when somebody waits, and processes that are none."""

    manners: dict[str, Manner]
    now: float = 0.0
    events: list[str] = field(default_factory=list)
    most_at_once: int = 0
    starting: set[str] = field(default_factory=set)

    def monotonic(self) -> float:
        """Stand in for the time module's."""
        return self.now

    def wait(self, workers: Sequence[Any], timeout: float) -> None:
        """Stand in for the one of multiprocessing."""
        self.now += max(min(timeout, *(one.until - self.now for one in workers)), 0.0)

    def worker(self, serve: Any, make: Any, settings: Any, *, preload: Any) -> Any:
        """Stand in for `WorkerProcess`."""
        return Pretender(self)


class Pretender:
    """A worker without a process."""

    def __init__(self, world: World) -> None:
        self.world, self.name, self.turns, self.made = world, "", 0, False
        self.connection, self.outcome = self, ProcessOutcome()
        self.until = world.now
        world.events.append("made")

    def ask(self, method: str, *arguments: Any) -> None:
        self.outcome = ProcessOutcome()
        if method == "prepare":
            _, self.name, _ = arguments
            self.manner = self.world.manners.get(self.name, Manner())
            self.until = self.world.now + self.manner.ready
            self.world.events.append(f"start {self.name}")
            self.world.starting.add(self.name)
            self.world.most_at_once = max(self.world.most_at_once, len(self.world.starting))
            return
        self.until = self.world.now + (0 if method == "rest" else self.manner.step)
        self.world.events.append(f"{method} {self.name}")
        if method == "check":
            accuracy = Accuracy((1e-3, 2e-3), 0.0, 1e-6, None, self.manner.problem)
            self.outcome = ProcessOutcome(Measured(Peak(5, 1, "made up"), accuracy))
        elif method == "tilings":
            self.outcome = ProcessOutcome({4: "8x8"})
        elif method == "seconds":
            self.turns += 1
            gone = self.turns >= self.manner.fails
            problem = "the process ended with code -11" if gone else ""
            self.outcome = ProcessOutcome(None if gone else self.manner.step, problem)

    def answer(self, seconds: float) -> ProcessOutcome | None:
        if not self.made:
            self.made = True
            return ProcessOutcome()
        if self.until > self.world.now + seconds:
            self.world.now += seconds
            return None
        self.world.now = max(self.world.now, self.until)
        self.world.starting.discard(self.name)
        return self.outcome

    def dismiss(self) -> None:
        self.world.events.append(f"dismiss {self.name}")

    def end(self, grace: float = 0) -> None:
        self.world.starting.discard(self.name)
        self.world.events.append(f"end {self.name}")


@dataclass
class Run:
    """What came of a crew."""

    world: World
    points: list[dict[str, Any]]
    said: list[str]
    idle: dict[str, Any] = field(default_factory=dict)

    def results(self, point: int = -1) -> dict[str, Any]:
        """Return the results of a state that was kept, the last by default."""
        return {one["variant"]: one for one in self.points[point]["results"]}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(
        manners: dict[str, Manner], *, deadline: float = math.inf, cores: int = 16, **settings: Any
    ) -> Run:
        world = World(manners)
        monkeypatch.setattr(scheduler, "time", world)
        monkeypatch.setattr(scheduler, "wait", world.wait)
        monkeypatch.setattr(scheduler, "WorkerProcess", world.worker)
        monkeypatch.setattr(scheduler, "core_count", lambda: cores)
        peers = [name for name in manners if name not in (BARE, OURS.name, EAGER.name)]
        planned = [OURS, EAGER, *(Planned(name, name, 0.0) for name in peers)]
        found = Run(world, [], [])

        def keep(some: dict[str, Measured], timed: Timed | None) -> None:
            found.points.append(point_json(CASE, "x", planned, some, timed))

        wanted = KernelSettings("cpu", 1, apart=True, **settings)
        point = PoolPoint(CASE, planned, wanted, Path("nowhere"), deadline)
        keep(*VariantPool(point, found.said.append, keep, found.idle).run())
        for state in found.points:
            text_table(state)
        return found

    return run


def test_all_well(run: Any) -> None:
    found = run({"trl": Manner(), "cce": Manner(step=0.25)})
    assert {one["status"] for one in found.results().values()} == {"ok"}
    assert {len(one["seconds"]) for one in found.results().values()} == {3}
    assert found.results()["cce"]["against_ours"]["median"] == 0.5
    assert found.points[-1]["bare"] == {"4": {"seconds": [0.5] * 3, "tiling": "8x8"}}
    assert sum(event.startswith("rest") for event in found.world.events) == 5
    assert "trl: ready after 1.0 s" in found.said
    assert "trl: right, 0 MB" in found.said


def test_processes_serve_the_next_point_too(run: Any) -> None:
    found = run({"trl": Manner(), "cce": Manner(fails=2)})
    assert sorted(found.idle) == sorted([BARE, OURS.name, EAGER.name, "trl"])
    assert found.world.events.count("made") == 5
    point = PoolPoint(CASE, [OURS, EAGER], KernelSettings("cpu", 1), Path("nowhere"), math.inf)
    VariantPool(point, found.said.append, lambda *_: None, found.idle).run()
    assert found.world.events.count("made") == 5
    assert found.world.events.count(f"start {OURS.name}") == 2
    assert sorted(found.idle) == sorted([BARE, OURS.name, EAGER.name, "trl"])
    end_all(found.idle)
    assert found.world.events[-1].startswith("end")


def test_ours_are_measured_and_kept_before_a_peer_is_started(run: Any) -> None:
    found = run({"trl": Manner()})
    turns = [event for event in found.world.events if event.startswith("seconds")]
    first = found.world.events.index("start trl")
    assert sum(event.startswith("seconds") for event in found.world.events[:first]) == 3 * 3
    assert len(turns) == 3 * 3 + 3 * 4
    done = [
        {name: one["status"] for name, one in found.results(i).items()}
        for i in range(len(found.points))
    ]
    assert {"clairkit auto": "ok", "eager": "ok", "trl": "NOT MEASURED"} in done
    timed = [
        {name: len(one["seconds"]) for name, one in found.results(i).items()}
        for i in range(len(found.points))
    ]
    # What was timed is never lost again, and a peer comes with as many rounds as ours.
    ours = [one["clairkit auto"] for one in timed]
    assert ours == sorted(ours)
    assert [one["trl"] for one in timed if one["trl"]] == [3, 3, 3]


def test_one_that_is_not_ready_in_time_is_left_out_and_named(run: Any) -> None:
    found = run({"trl": Manner(), "cce": Manner(ready=46)}, ready_seconds=45.0)
    lost = found.results()["cce"]
    assert (lost["status"], lost["problem"]) == ("NOT READY", "not ready after 45 s")
    assert problems(found.points[-1]) == ["cce: NOT READY, not ready after 45 s"]
    assert "cce: left out, not ready after 45 s" in found.said
    assert found.results()["trl"]["status"] == "ok"
    assert "end cce" in found.world.events
    assert "check cce" not in found.world.events


def test_a_late_one_keeps_nobody_waiting_longer_than_its_limit(run: Any) -> None:
    slow = {name: Manner(ready=1e6) for name in ("trl", "cce", "quack")}
    assert run(slow, ready_seconds=30.0).world.now < 30 + 15
    assert run(slow, ready_seconds=30.0, cores=1).world.now < 3 * 30 + 15


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_as_many_are_made_ready_at_a_time_as_there_are_cores(run: Any, cores: int) -> None:
    found = run({name: Manner() for name in "abcdef"}, cores=cores)
    assert found.world.most_at_once == min(cores, 6)
    assert {one["status"] for one in found.results().values()} == {"ok"}


def test_a_wrong_one_is_not_timed(run: Any) -> None:
    found = run({"trl": Manner(problem="log-probs differ")})
    assert found.results()["trl"]["status"] == "PARITY FAILED"
    assert "seconds trl" not in found.world.events
    assert "rest trl" not in found.world.events  # it was ended before the others were timed
    assert "trl: log-probs differ, 0 MB" in found.said


@pytest.mark.parametrize(
    ("manner", "status", "problem"),
    [
        (Manner(fails=2), "ERROR", "the process ended with code -11"),
        (Manner(step=1e6), "NOT READY", "no step done in 45 s"),
    ],
)
def test_a_peer_that_fails_in_its_turn_leaves_the_others(
    run: Any, manner: Manner, status: str, problem: str
) -> None:
    found = run({"trl": manner, "cce": Manner()})
    lost = found.results()["trl"]
    assert (lost["status"], lost["problem"], lost["seconds"]) == (status, problem, [])
    assert len(found.results()["cce"]["seconds"]) == 3
    assert len(found.results()["clairkit auto"]["seconds"]) == 3


def test_without_the_bare_products_there_are_times_and_no_ratio_to_them(run: Any) -> None:
    for manner in (Manner(ready=1e6), Manner(step=1e6)):
        found = run({BARE: manner, "trl": Manner()})
        assert found.points[-1]["bare"] == {}
        assert found.results()["trl"]["against_ours"]["median"] == 1
        assert any(text.startswith("bare products: left out") for text in found.said)


def test_a_slow_peer_sits_out_and_ours_do_not(run: Any) -> None:
    found = run({"trl": Manner(step=4), OURS.name: Manner(step=4)}, rounds=5, patience=6.0)
    assert len(found.results()["trl"]["seconds"]) == 2
    assert len(found.results()["clairkit auto"]["seconds"]) == 5


def test_nothing_is_begun_after_the_deadline(run: Any) -> None:
    whole = run({"trl": Manner(ready=8), "cce": Manner(ready=30)}, rounds=10).world.now
    states = set()
    for deadline in itertools.count(1):
        found = run({"trl": Manner(ready=8), "cce": Manner(ready=30)}, rounds=10, deadline=deadline)
        assert found.world.now <= deadline + 0.5  # a step
        results = found.results()
        states |= {(name, one["status"]) for name, one in results.items()}
        # One that is sound without a time is told apart; ours come first.
        for one in results.values():
            assert (one["status"] == "ok") == bool(one["seconds"])
            assert one["problem"] or one["status"] == "ok"
        rounds = len(results["clairkit auto"]["seconds"])
        if results["trl"]["status"] == "ok":
            assert rounds > 0
        elif "start trl" in found.world.events:
            assert rounds == 10  # those without peers stand
        if deadline > whole:
            break
    assert states == {
        *itertools.product(("clairkit auto", "eager"), ("NOT READY", "NOT MEASURED", "ok")),
        *itertools.product(("trl", "cce"), ("NOT READY", "NOT MEASURED", "ok")),
    } - {("clairkit auto", "NOT READY"), ("eager", "NOT READY")}


def test_one_checked_but_not_timed_keeps_its_memory_and_accuracy(run: Any) -> None:
    found = run({"trl": Manner()})
    states = [found.results(i)["trl"] for i in range(len(found.points))]
    (checked, *_) = [one for one in states if one["accuracy"]]
    assert (checked["status"], checked["problem"]) == ("NOT MEASURED", "its time is missing")
    assert checked["memory"]["extra_bytes"] == 5
    assert checked["memory_against_ours"] == 1
    assert checked["against_ours"] is None


def test_what_was_checked_stands_when_its_turn_is_cut_short(run: Any) -> None:
    for deadline in range(12, 40):
        found = run({"trl": Manner(step=7)}, deadline=deadline)
        checked = any(text.startswith("trl: right") for text in found.said)
        assert bool(found.results()["trl"]["accuracy"]) == checked
        assert found.world.now <= deadline + 3
    assert checked
