"""The arithmetic of times and the meaning of peak memory; nothing here depends on speed."""

from __future__ import annotations

import pytest
import torch

from clairkit.bench.measure import timing as measure
from clairkit.bench.measure.timing import (
    Peak,
    Spread,
    first_rounds,
    interleave,
    peak_extra,
)

CPU = torch.device("cpu")
MIB = 2**20


def test_spread() -> None:
    assert Spread.of([5.0, 1.0, 2.0]) == Spread(2.0, 1.0, 5.0)
    assert Spread.of([4.0, 1.0]) == Spread(2.5, 1.0, 4.0)
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was twice as slow in the second round: the ratio does not see it.
    assert first_rounds([1.0, 2.0, 1.0], [2.0, 4.0, 2.0]) == Spread(0.5, 0.5, 0.5)
    assert first_rounds([1.0, 9.0], [2.0, 3.0]) == Spread(1.75, 0.5, 3.0)


def test_rounds_alternate_rotate_and_leave_the_warm_up_out() -> None:
    order: list[str] = []
    steps = {name: lambda name=name: order.append(name) for name in "abc"}
    times = interleave(steps, rounds=3, warmup=1, between=lambda: order.append("-"))
    assert "".join(order) == "-a-b-c-b-c-a-c-a-b-a-b-c"
    assert {name: len(seconds) for name, seconds in times.seconds.items()} == dict.fromkeys(
        "abc", 3
    )


def test_out_of_memory_ends_one_variant_and_keeps_the_others() -> None:
    calls = 0

    def fails() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    times = interleave({"a": fails, "b": lambda: None}, rounds=4)
    assert (set(times.failed), calls) == ({"a"}, 3)
    assert {name: len(seconds) for name, seconds in times.seconds.items()} == {"b": 4}


def test_another_error_is_not_taken_for_lack_of_memory() -> None:
    def fails() -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        interleave({"a": fails}, rounds=1)
    assert measure.is_out_of_memory(MemoryError())
    assert measure.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not measure.is_out_of_memory(ValueError("out of memory"))


def use_64_mib() -> None:
    torch.ones(64 * MIB // 4)


def test_peak_memory_counts_what_was_freed_meanwhile() -> None:
    for _ in range(2):  # the second time, no memory of the first may hide it
        peak = peak_extra(use_64_mib, CPU)
        assert 60 * MIB < peak.extra_bytes < 80 * MIB


def test_peak_memory_leaves_out_what_came_before() -> None:
    held = torch.ones(64 * MIB)
    del held
    assert peak_extra(lambda: torch.ones(MIB), CPU).extra_bytes < 16 * MIB


def test_without_a_reset_the_memory_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_reset_mark_peak", lambda: None)

    def long_enough() -> None:
        held = torch.ones(64 * MIB // 4)
        for _ in range(50):
            held.add_(1)

    peak = peak_extra(long_enough, CPU)
    assert peak.method == "VmRSS sampled"
    assert 60 * MIB < peak.extra_bytes < 80 * MIB


def test_where_proc_is_absent_the_lifetime_mark_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_reset_mark_peak", "_sampled_peak"):
        monkeypatch.setattr(measure, name, lambda: None)
    assert isinstance(found := peak_extra(use_64_mib, CPU), Peak)
    assert "never reset" in found.method


def test_a_slow_variant_sits_out_the_rounds_after_its_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    took = {"a": 2.0, "b": 5.0, "c": 9.0}
    monkeypatch.setattr(measure, "timed_step", lambda step, device, between: took[step()])
    steps = {name: lambda name=name: name for name in took}
    times = interleave(steps, rounds=4, warmup=1, patience={"b": 6.0, "c": 6.0})
    assert {name: len(seconds) for name, seconds in times.seconds.items()} == {
        "a": 4,
        "b": 2,
        "c": 1,
    }


def test_ratios_of_the_rounds_that_both_were_in() -> None:
    assert first_rounds([3.0], [1.0, 2.0, 9.0]) == Spread(3.0, 3.0, 3.0)
    assert first_rounds([3.0, 8.0, 9.0], [1.0, 2.0]) == Spread(3.5, 3.0, 4.0)
    assert first_rounds([], [1.0]) is None
