"""The order of a suite's steps, and what becomes of variants that fail."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from clairkit.bench.measure.isolate import ProcessOutcome
from clairkit.bench.measure.timing import Peak
from clairkit.bench.step import suite as step
from clairkit.bench.step.cases import QUICK
from clairkit.bench.step.parity import Parity
from clairkit.bench.step.process import StepProcess, VariantLost
from clairkit.bench.step.step_report import StepReport
from clairkit.bench.step.suite import StepSuite, measure_case
from clairkit.bench.step.worker import Settings

SETTINGS = Settings("cpu", 1, rounds=3)
VARIANTS = ("trl", "clairkit", "clairkit padded")
FINE = Parity(0.0, 0.0, 0.0, 0.0, "a")
KILLED = ProcessOutcome(problem="killed", out_of_memory=True)


class Fake:
    """Stands in for the processes: fails at the step that `failing` names."""

    taken: ClassVar[list[tuple[str, str]]] = []
    failing: ClassVar[dict[str, int]] = {}
    closed: ClassVar[list[str]] = []

    def __init__(self, _case: Any, variant: str, _settings: Any) -> None:
        self.variant, self.count = variant, 0
        if self.failing.get(variant) == 0:
            raise VariantLost(ProcessOutcome(problem="ValueError: no"))

    def step(self, wish: str = "time") -> StepReport:
        self.count += 1
        if self.failing.get(self.variant) == self.count:
            raise VariantLost(KILLED)
        self.taken.append((self.variant, wish))
        seconds = {"trl": 4.0, "clairkit": 1.0}.get(self.variant, 2.0)
        memory = Peak(100, 1, "x") if wish == "memory" else None
        return StepReport(seconds, {}, {}, 40, memory)

    def close(self) -> None:
        self.closed.append(self.variant)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    class Fresh(Fake):
        taken, failing, closed = [], {}, []

    monkeypatch.setattr(step, "StepProcess", Fresh)
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
    gain = found.speed_up("clairkit", "trl")
    assert gain is not None
    assert (gain.time.median, gain.memory) == (4.0, 1.0)


def test_a_variant_with_another_result_is_not_timed(
    fake: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Parity(1.0, 1.0, 1.0, 1.0, "a", "losses differ")
    monkeypatch.setattr(step, "parity_of", lambda *_: broken)
    found = measure_case(QUICK[0], VARIANTS, SETTINGS)
    assert [result.status for result in found.results] == ["ok", *["PARITY FAILED"] * 2]
    assert [len(result.seconds) for result in found.results] == [3, 0, 0]
    assert {name for name, wish in fake.taken if wish == "memory"} == {"trl"}
    assert found.speed_ups("clairkit") == []


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
    assert found.speed_ups("clairkit") == []


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


def test_processes_that_fail_or_end_say_so() -> None:
    with pytest.raises(VariantLost, match="none"):
        StepProcess(QUICK[0], "clairkit none", SETTINGS)
    process = StepProcess(QUICK[0], "plain", SETTINGS)
    assert process.step().logs["loss"] == pytest.approx(1.0)
    process._process.kill()
    with pytest.raises(VariantLost, match="killed") as caught:
        process.step()
    assert caught.value.outcome.out_of_memory
