"""The verdict: which signal decides, what holds it up, and how many more prompts it takes."""

from __future__ import annotations

from typing import Any

import pytest

from clairkit.evaluation.guards import GuardRow
from clairkit.evaluation.signals import Signal, signal_of
from clairkit.evaluation.verdict import Decision, best, decide
from clairkit.intervals import Interval
from clairkit.statistics.change import paired_binary_change
from clairkit.statistics.estimates import Estimate
from clairkit.statistics.guards import Guard, check_guards
from clairkit.statistics.sample_size import prompts_for_win_rate
from clairkit.statistics.win_rate import mean_share


def found(kind: Any, low: float | None, high: float | None, **more: Any) -> Signal:
    """Return a signal whose estimate is in the middle."""
    interval = None if low is None or high is None else Interval(low, high)
    middle = 0.5 if interval is None else (interval.low + interval.high) / 2
    unit = {"check": "points", "kpi": "MID"}.get(kind, "share")
    details = {"verdicts": 200, "unparsed": 0, "worst": middle, "best": middle}
    given = {"model": "new", "against": "old", "unit": unit, "details": details, **more}
    return signal_of(kind, Estimate(middle, interval, 0.05, 100, 100, 0.95, "m"), **given)


def decided(*signals: Signal, guards: Any = ()) -> Decision:
    return decide(["new"], signals, guards)["new"]


def guard(lost: int) -> GuardRow:
    before = [True] * 200
    after = [False] * lost + [True] * (200 - lost)
    result = check_guards([Guard("math", paired_binary_change(before, after), 0.04)])[0]
    return GuardRow("new", "points", result)


@pytest.mark.parametrize(
    ("signals", "verdict", "rests_on"),
    [
        ([("judge", 0.51, 0.6)], "SHIP", "judge"),
        ([("judge", 0.45, 0.6)], "NEED MORE", "judge"),
        ([("judge", 0.35, 0.49)], "HOLD", "judge"),
        ([("judge", None, None)], "NEED MORE", "judge"),
        ([("judge", 0.6, 0.7), ("length-controlled judge", 0.45, 0.6)], "NEED MORE", "length"),
        ([("judge", 0.6, 0.7), ("check", 0.01, 0.1)], "SHIP", "check"),
        ([("judge", 0.3, 0.4), ("check", 0.01, 0.1)], "HOLD", "check"),
        ([("people", 0.4, 0.6), ("check", 0.01, 0.1)], "NEED MORE", "people"),
        ([("elo", 0.6, 0.7)], "NEED MORE", "None"),
        ([("kpi", 1.0, 2.0)], "NEED MORE", "None"),
    ],
)
def test_the_signal_that_counts_most_decides(
    signals: list[tuple[str, float | None, float | None]], verdict: str, rests_on: str
) -> None:
    decision = decided(*(found(*each) for each in signals))
    assert decision.verdict == verdict
    assert str(decision.rests_on).startswith(rests_on)


def test_a_kpi_counts_by_its_utility() -> None:
    signals = [found("kpi", -2.0, -1.0, name="cost"), found("kpi", 1.0, 2.0, name="utility")]
    assert decided(*signals).verdict == "SHIP"


def test_a_figure_of_one_model_decides_nothing() -> None:
    assert decided(found("check", 0.9, 0.99, against=None)).verdict == "NEED MORE"


@pytest.mark.parametrize(("lost", "verdict"), [(0, "SHIP"), (10, "NEED MORE"), (40, "HOLD")])
def test_no_gain_buys_a_guard_off(lost: int, verdict: str) -> None:
    decision = decided(found("judge", 0.7, 0.9), guards=[guard(lost)])
    assert decision.verdict == verdict
    assert ("math changed by" in decision.reason) == (verdict != "SHIP")
    if verdict != "SHIP":
        assert decision.because["code"] == f"guard_{'violated' if lost == 40 else 'undecided'}"
        assert (decision.because["estimate"], decision.because["margin"]) == (-lost / 200, 0.04)


def test_verdicts_that_could_not_be_read_hold_it_up() -> None:
    few, many = (
        found(
            "judge",
            0.6,
            0.7,
            details={"verdicts": 200, "unparsed": unparsed, "worst": 0.58, "best": 0.72},
        )
        for unparsed in (10, 11)
    )
    assert decided(few).verdict == "SHIP"
    assert decided(many).verdict == "NEED MORE"
    assert "11 of 200 verdicts" in decided(many).reason
    assert "58.0 and 72.0 %" in decided(many).reason


def test_it_says_how_many_more_prompts() -> None:
    scores = [1.0] * 55 + [0.0] * 45
    signal = signal_of("judge", mean_share(scores), model="new", against="old", details={})
    needed = decided(signal).needed
    assert needed is not None
    assert needed.total == pytest.approx(prompts_for_win_rate(0.55), rel=0.02)
    assert needed.more == (needed.total or 0) - 100


def test_one_that_ships_stands_for_all() -> None:
    words: list[Any] = ["HOLD", "NEED MORE", "SHIP"]
    made = [Decision(f"m{at}", word, "why", {}) for at, word in enumerate(words)]
    assert [best(made[: at + 1]).verdict for at in range(3)] == ["HOLD", "NEED MORE", "SHIP"]


def test_answers_that_never_changed_are_no_chance() -> None:
    same = found("check", -0.02, 0.02, details={"gained": 0, "lost": 0})
    decision = decided(same)
    assert decision.verdict == "NEED MORE"
    assert decision.because["code"] == "no_change"
    assert "no prompt is right with one model and wrong with the other" in decision.reason
