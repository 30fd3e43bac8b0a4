"""The order of a suite's steps, and what becomes of variants that fail."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from clairkit.bench.measure.timing import Peak
from clairkit.bench.measure.worker_process import ProcessOutcome
from clairkit.bench.step import suite as step
from clairkit.bench.step.cases import QUICK
from clairkit.bench.step.parity import Parity
from clairkit.bench.step.suite import StepSuite, measure_case
from clairkit.bench.step.trainers import Settings
from clairkit.bench.step.worker import StepReport

SETTINGS = Settings("cpu", 1, rounds=3)
VARIANTS = ("trl", "clairkit", "clairkit padded")
FINE = Parity(0.0, 0.0, 0.0, 0.0, "a")
KILLED = ProcessOutcome(problem="killed", out_of_memory=True)


class Fake:
    """Stands in for the processes: fails at the step that `failing` names."""

    taken: ClassVar[list[tuple[str, str]]] = []
    failing: ClassVar[dict[str, int]] = {}
    closed: ClassVar[list[str]] = []

    def __init__(self, serve: Any, case: Any, variant: str, settings: Any, **_: Any) -> None:
        self.variant, self.count, self.wish = variant, 0, ""

    def ask(self, method: str, wish: str) -> None:
        assert method == "step"
        self.wish = wish
        self.count += 1

    def answer(self, seconds: None) -> ProcessOutcome:
        if self.failing.get(self.variant) == self.count:
            return KILLED if self.count else ProcessOutcome(problem="ValueError: no")
        if not self.count:
            return ProcessOutcome()
        self.taken.append((self.variant, self.wish))
        seconds_of = {"trl": 4.0, "clairkit": 1.0}
        memory = Peak(100, 1, "x") if self.wish == "memory" else None
        return ProcessOutcome(StepReport(seconds_of.get(self.variant, 2.0), {}, {}, 40, memory))

    def dismiss(self) -> None:
        self.closed.append(self.variant)

    def end(self, grace: float) -> None:
        assert self.closed[-1] == self.variant


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    class Fresh(Fake):
        taken, failing, closed = [], {}, []

    monkeypatch.setattr(step, "WorkerProcess", Fresh)
    monkeypatch.setattr(step, "parity_of", lambda *_: FINE)
    return Fresh


def test_steps_alternate_and_rotate(fake: type[Fake]) -> None:
    found = measure_case(QUICK[0], VARIANTS, SETTINGS)
    warm = [(name, wish) for name in VARIANTS for wish in ("time", "gradients")]
    memory = [(name, "memory") for name in VARIANTS]
    order = [*VARIANTS, *VARIANTS[1:], *VARIANTS[:1], VARIANTS[2], *VARIANTS[:2]]
    assert fake.taken == [*warm, *memory, *((name, "time") for name in order)]
    assert sorted(fake.closed) == sorted(VARIANTS)
    assert (found.base_name, found.gradient_bytes) == ("trl", 40)
    (gain,) = [each for each in found.speed_ups() if each["over"] == "trl"]
    assert (gain["time"]["median"], gain["memory"]) == (4.0, 1.0)


def test_a_variant_with_another_result_is_not_timed(
    fake: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Parity(1.0, 1.0, 1.0, 1.0, "a", "losses differ")
    monkeypatch.setattr(step, "parity_of", lambda *_: broken)
    found = measure_case(QUICK[0], VARIANTS, SETTINGS)
    assert [result.status for result in found.results] == ["ok", *["PARITY FAILED"] * 2]
    assert [len(result.seconds) for result in found.results] == [3, 0, 0]
    assert {name for name, wish in fake.taken if wish == "memory"} == {"trl"}
    assert found.speed_ups() == []


@pytest.mark.parametrize(("at", "status"), [(0, "ERROR"), (2, "OOM"), (3, "OOM"), (5, "OOM")])
def test_a_lost_variant_leaves_the_others(fake: type[Fake], at: int, status: str) -> None:
    fake.failing["clairkit"] = at
    found = measure_case(QUICK[0], VARIANTS, SETTINGS)
    assert [result.status for result in found.results] == ["ok", status, "ok"]
    assert found.results[1].seconds == ()
    assert len(found.results[2].seconds) == 3


def test_without_the_base_nothing_is_compared(fake: type[Fake]) -> None:
    fake.failing["trl"] = 0
    found = measure_case(QUICK[0], VARIANTS, SETTINGS)
    assert [result.status for result in found.results] == ["ERROR", "unchecked", "unchecked"]
    assert [found.time_ratio(result) for result in found.results] == [None] * 3
    assert found.speed_ups() == []


def test_variants_by_peers_and_kernels() -> None:
    suite = StepSuite(QUICK, SETTINGS, ("trl", "plain"), ("auto", "torch"))
    assert suite.variants == (
        "trl",
        "trl accumulated",
        "plain",
        "plain trimmed",
        "clairkit",
        "clairkit large parts",
        "clairkit unshared",
        "clairkit padded",
        "clairkit torch",
    )


@pytest.mark.slow
def test_processes_that_fail_or_end_say_so() -> None:
    found = step._Case(QUICK[0], SETTINGS, "plain")
    try:
        found.start("clairkit none")
        assert found.results["clairkit none"].status == "ERROR"
        assert "none" in found.results["clairkit none"].problem
        found.start("plain")
        assert found.reports["plain"][0].logs["loss"] == pytest.approx(1.0)
        found.processes["plain"]._process.kill()
        found.measure_time("plain")
        assert found.results["plain"].status == "OOM"
        assert "killed" in found.results["plain"].problem
        assert found.alive == []
    finally:
        found.close()
