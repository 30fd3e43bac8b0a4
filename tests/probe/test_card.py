"""From cases to the card: measures, verdicts, text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from clairkit.errors import UsageError
from clairkit.intervals import wilson
from clairkit.judging.judge import Judgement
from clairkit.probe import (
    HealthCard,
    Observation,
    PlantedFault,
    ProbeCase,
    ProbeSettings,
    Thresholds,
    make_card,
    remarks,
    tables,
    to_markdown,
)
from clairkit.probe.measures import agreements
from clairkit.records import Message, PromptRow

GOOD = "The pot costs 30 euros and holds two litres of water."
FAULT = PlantedFault("number", GOOD, GOOD.replace("30", "90"), "30", "90")


def seen(revision: str | None, probe: str = "untouched", **more: Any) -> Observation:
    fault = FAULT if probe == "fault" else None
    row = PromptRow(
        (Message(role="user", content="q"),), fault.text if fault else GOOD, more.pop("id", "r")
    )
    answer = more.pop("answer", row.answer)
    repeat, reason, won = more.pop("repeat", 0), more.pop("reason", None), more.pop("won", None)
    judgement = None if won is None else Judgement(won, won != "tie", verdicts=(won, won))
    case = ProbeCase(probe, row, more.pop("slice", "text"), fault, repeat)  # type: ignore[arg-type]
    assert not more
    return Observation(case, answer, revision, reason, judgement)


def card_of(*cases: Observation, **more: Any) -> HealthCard:
    about, spent = more.pop("about", {"reviser": "x"}), more.pop("spent", None)
    spent = spent or {"calls": 3, "tokens": {"prompt": 1, "completion": 2}, "cost": None}
    thresholds = more.pop("thresholds", Thresholds())
    return make_card(cases, about=about, spent=spent, thresholds=thresholds, **more)


def rate_of(card: HealthCard, name: str) -> tuple[int, int]:
    rate = card.finding(name).rate
    return rate.hits, rate.n


def test_good_answers_that_come_back() -> None:
    card = card_of(
        seen(GOOD),
        seen(GOOD.replace(" ", "  ")),
        seen(GOOD, reason="no_op"),
        seen(GOOD + "!"),
        seen("I refuse.", reason="refusal"),
        seen(None, reason="parse_error"),
        seen(None, reason="request_failed"),
        seen(None, answer=None, reason="answer_empty"),
        seen(None, reason="function_error"),
        seen(None, "repeat", repeat=1, reason="parse_error"),
    )
    assert rate_of(card, "untouched") == (3, 4)
    # What no model said anything to counts nowhere; nor does a repeat, which is no new evidence.
    assert rate_of(card, "usable") == (4, 7)
    assert card.unusable == {"refusal": 1, "parse_error": 1, "function_error": 1}
    assert card.lost == {"request_failed": 1, "answer_empty": 1}
    assert card.slices["text"].untouched.n == 4


def test_planted_faults() -> None:
    card = card_of(
        seen(GOOD, "fault"),
        seen(FAULT.text, "fault", reason="no_op"),
        seen(GOOD.replace("30", "31"), "fault"),
        seen("It costs 30 euros.", "fault"),
        seen(None, "fault", reason="edit_failed"),
    )
    count = card.kinds["number"]
    assert (count.fixed.hits, count.fixed.n, count.changed, count.missed) == (2, 4, 1, 1)
    assert rate_of(card, "fixed") == (2, 4)
    assert rate_of(card, "careful") == (2, 3)  # the answer that came back changed nothing
    assert count.collateral.n == 3
    assert count.collateral.mean == pytest.approx(card.slices["text"].faults.collateral.mean)
    assert 0.1 < (count.collateral.mean or 0) < 0.3


def test_agreement_of_repeats() -> None:
    def row(name: str, *revisions: str | None) -> list[Observation]:
        return [
            seen(text, "repeat", id=name, repeat=at, answer="abcdef")
            for at, text in enumerate(revisions)
        ]

    cases = [
        *row("same", "abcdeX", "abcdeY"),  # f is gone, something is new there
        *row("half", "abXdef", "abcdef"),  # only one touches it
        *row("part", "abXYef", "abXdef"),  # c, d, new before c; c, new before c
        *row("gone", "abdef", "abXdef"),  # c; c, new before c
        *row("none", "abcdef", "abcdef", "abcdef"),
        *row("one", "abXdef"),
        *row("lost", "abXdef", None),
    ]
    assert agreements(cases) == [1.0, 0.0, pytest.approx(2 / 3), 0.5, 1.0]
    card = card_of(*cases)
    assert rate_of(card, "steady") == (4, 5)
    assert card.rows == {"pair": 7}
    assert card.agreement.mean == pytest.approx((1 + 2 / 3 + 0.5 + 1) / 5)


def test_the_judge() -> None:
    card = card_of(
        *(seen(GOOD, "fault", won=won) for won in ("first", "first", "second", "tie")),
        *(
            seen("b", "repeat", id=str(at), won=won)
            for at, won in enumerate(("second", "second", "tie", "first"))
        ),
        seen("c", won="second"),
        seen("c", won="first"),
    )
    silent = replace(seen("d", won="first"), judgement=Judgement(None, consistent=False))
    assert card_of(silent).changed_for_better.n == card_of(silent).judge_consistent.n == 0
    assert rate_of(card, "judge_right") == (2, 4)
    assert rate_of(card, "preferred") == (2, 4)
    assert (card.changed_for_better.hits, card.changed_for_better.n) == (1, 2)
    assert (card.judge_consistent.hits, card.judge_consistent.n) == (8, 10)


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [
        (24, 0, "pass"),
        (23, 1, "pass"),
        (22, 2, "undecided"),
        (12, 0, "pass"),
        (11, 1, "undecided"),
        (2, 10, "fail"),
        (0, 0, "not probed"),
    ],
)
def test_a_verdict_is_where_the_interval_lies(good: int, bad: int, verdict: str) -> None:
    card = card_of(*[seen(GOOD)] * good, *[seen(GOOD + "!")] * bad)
    assert card.finding("untouched").verdict == verdict
    if good + bad:
        assert card.finding("untouched").rate.interval == wilson(good, good + bad)


def healthy(**more: Any) -> HealthCard:
    cases = [seen(GOOD)] * 24 + [seen(GOOD, "fault")] * 30
    return card_of(*cases, **more)


def test_states() -> None:
    assert healthy().state == "healthy"
    assert healthy(unfinished=1).state == "undecided"
    assert healthy(thresholds=Thresholds(untouched=0.9)).state == "undecided"
    assert card_of(*[seen(GOOD + "!")] * 24).state == "unhealthy"
    assert card_of().state == card_of(*[seen(GOOD)] * 24).state == "undecided"


def test_a_bad_judge_has_no_say() -> None:
    cases = [seen(GOOD)] * 24 + [seen(GOOD, "fault", won="second")] * 30
    cases += [seen("b", "repeat", id=str(n), won="first") for n in range(20)]
    card = card_of(*cases)
    assert card.finding("preferred").verdict == card.finding("judge_right").verdict == "fail"
    assert card.state == "healthy"
    assert any("do not count" in remark for remark in remarks(card))
    assert not any("Do not train" in remark for remark in remarks(card))
    trusted = [seen(GOOD)] * 24 + [seen(GOOD, "fault", won="first")] * 30 + cases[54:]
    assert card_of(*trusted).state == "unhealthy"


def test_what_the_text_says() -> None:
    card = card_of(
        *[seen(GOOD + "!", slice="a|b")] * 9,
        *[seen(FAULT.text, "fault", reason="no_op")] * 9,
        seen(None, reason="request_failed"),
        unfinished=2,
        about={"reviser": "<script>[x](javascript:1)", "sampling": {"seed": 0}},
        spent={"calls": 1234, "tokens": {"prompt": 5, "completion": 6}, "cost": 1.5},
    )
    text = to_markdown(card)
    for part in (
        "# Reviser health: unhealthy",
        "1,234 calls, 5 + 6 tokens, $1.50",
        "Good answers left untouched: too few",
        "2 cases are not done",
        "a\\|b",
        "the planted number was missed: `30` became `90`",
        "changed in a good answer: `lds two litres of water.` to `lds two litres of water.!`",
        "1 case is without a result (request\\_failed",
    ):
        assert part in text
    assert "<script" not in text
    assert "](" not in text.replace("\\](", "")
    widths = {len(row) - len(table.columns) for table in tables(card) for row in table.rows}
    assert widths == {0}


def test_hostile_texts_stay_in_their_code_spans() -> None:
    hostile = "x``` <img src=x onerror=alert(1)> \x1b[31m\n# head"
    text = to_markdown(card_of(seen(hostile, answer="x")))
    (line,) = [line for line in text.splitlines() if "onerror" in line]
    assert "```` " in line
    assert "\x1b" not in text
    assert "\n# head" not in text


def test_the_card_as_json() -> None:
    card = json.loads(json.dumps(healthy().to_json(), allow_nan=False))
    found = card["findings"]["untouched"]
    assert (found["hits"], found["n"], found["verdict"], found["threshold"]) == (
        24,
        24,
        "pass",
        0.75,
    )
    assert found["interval"] == [pytest.approx(0.862, abs=1e-3), 1.0]
    assert card["findings"]["steady"]["share"] is None
    assert set(card["findings"]) == set(Thresholds.__dataclass_fields__)


@pytest.mark.parametrize("name", list(Thresholds.__dataclass_fields__))
def test_thresholds_are_shares(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        ProbeSettings(thresholds=Thresholds(**{name: 1.1}))
