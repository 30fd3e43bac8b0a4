"""People's votes as signals, alone and blended with a judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_cases import item, row, toward, votes_of

from clairkit.errors import DataError
from clairkit.evaluation.people import Meeting, people_signals, read_person_votes
from clairkit.evaluation.signals import Signal
from clairkit.intervals import wilson
from clairkit.labels import Item, Key, LabelPlan, assess, collect, draw
from clairkit.records import write_rows
from clairkit.statistics.prediction_powered import LabelledScores, blend
from clairkit.statistics.win_rate import mean_share

ITEMS = [item(at) for at in range(100)]
MEETING = Meeting("new", "old", ITEMS)

Vote = Callable[[Item, str], str]


def drawn(items: Sequence[Item] = ITEMS, **plan: Any) -> Key:
    return draw(items, LabelPlan(**{"n": 60, "raters": ("A", "B"), **plan}), secret="s")


def imported(folder: Path, key: Key, say: Vote) -> Path:
    """Return the file of votes in which raters say `a`, `b` or `tie` of each item."""
    rows = [
        row(key, shown, said if said == "tie" else toward(shown, said))
        for rater, screens in key.raters.items()
        for shown in screens
        for said in [say(key.items[shown.item], rater)]
    ]
    votes = collect(key, votes_of(folder / "votes.json", key, rows))
    path = folder / "votes.jsonl"
    columns = {rater.name: rater.columns for rater in assess(votes)}
    write_rows(path, votes.rows(columns), force=True)
    return path


def by_number(item: Item, _: str) -> str:
    """Prefer the candidate on seven of ten prompts, and tie on one."""
    number = int(item.id[3:])
    return "tie" if number % 10 == 9 else "a" if number % 10 < 7 else "b"


def signals(path: Path, meeting: Meeting = MEETING) -> list[Signal]:
    return people_signals(read_person_votes(path), meeting)


def scores_of(key: Key) -> dict[str, float]:
    said = {"a": 1.0, "b": 0.0, "tie": 0.5}
    return {each.id: said[by_number(each, "")] for each in key.items[:60]}


def test_a_prompt_counts_once_however_many_vote(tmp_path: Path) -> None:
    key = drawn()
    (people,) = signals(imported(tmp_path, key, by_number))
    scores = scores_of(key)
    oracle = mean_share([scores[name] for name in sorted(scores)])
    assert oracle.interval is not None
    assert (people.estimate, people.n, people.clusters) == (oracle.estimate, 60, 60)
    assert (people.low, people.high) == (oracle.interval.low, oracle.interval.high)
    details = people.details or {}
    assert (details["votes"], details["raters"]) == (120, 2)
    # Planted: over rows instead of prompts, the interval would be narrower by 1 / sqrt(2).
    rows = mean_share([scores[name] for name in sorted(scores)] * 2)
    assert rows.standard_error < 0.72 * details["standard_error"]


def test_what_votes_are_worth_stands_beside(tmp_path: Path) -> None:
    key = drawn()

    def say(item: Item, rater: str) -> str:
        return by_number(item, rater) if rater == "A" or int(item.id[3:]) % 5 else "b"

    (people,) = signals(imported(tmp_path, key, say))
    details = people.details or {}
    # 60 prompts: of those whose number divides by five, B says b always and A says b or not.
    same = sum(say(each, "A") == say(each, "B") for each in key.items[:60])
    assert details["between_raters"]["agreement"] == pytest.approx(same / 60)
    assert details["between_raters"]["n"] == 60
    repeats = details["with_themselves"]
    interval = wilson(repeats["n"], repeats["n"])
    assert repeats == {"same": 6, "n": 6, "low": interval.low, "high": 1.0}
    assert details["enough"] == (details["log_e"] >= np.log(20))
    assert details["with_judge"] is None
    assert "below the limits: A (identical), B (identical)" in people.notes


def test_agreement_with_the_judge(tmp_path: Path) -> None:
    key = drawn()
    scores = scores_of(key)
    judge = dict.fromkeys((each.id for each in ITEMS), 1.0)
    people, _ = signals(imported(tmp_path, key, by_number), replace(MEETING, judge=judge))
    found = (people.details or {})["with_judge"]
    assert found["agreement"] == pytest.approx(sum(s == 1 for s in scores.values()) / 60)
    assert found["value"] == pytest.approx(0)  # a judge who always says the same knows nothing


def test_which_side_is_whose_is_told_by_the_texts(tmp_path: Path) -> None:
    path = imported(tmp_path, drawn(), by_number)
    turned = [replace(each, a=each.b, b=each.a) for each in ITEMS]
    (people,) = signals(path)
    (other,) = signals(path, Meeting("old", "new", turned))
    assert other.estimate == pytest.approx(1 - (people.estimate or 0))


def test_votes_on_former_answers_are_refused(tmp_path: Path) -> None:
    path = imported(tmp_path, drawn(), by_number)
    today = [replace(each, a="another answer") for each in ITEMS]
    with pytest.raises(DataError, match="on other answers than those of this evaluation"):
        signals(path, replace(MEETING, items=today))
    # Of other models they are passed over.
    assert signals(path, replace(MEETING, items=today, model="third")) == []


def judged(seed: int = 0) -> dict[str, float]:
    """A judge that follows people in most prompts and favours the candidate."""
    generator = np.random.default_rng(seed)
    said = {"a": 1.0, "b": 0.0, "tie": 0.5}
    return {
        each.id: said[by_number(each, "")] if generator.random() < 0.8 else 1.0 for each in ITEMS
    }


def test_the_blend_is_ppi_over_the_population_that_was_drawn_from(tmp_path: Path) -> None:
    key = drawn()
    people, blended = signals(imported(tmp_path, key, by_number), replace(MEETING, judge=judged()))
    scores, judge = scores_of(key), judged()
    here = sorted(scores)
    others = sorted(set(judge) - set(scores))
    oracle = blend(
        LabelledScores(
            [scores[name] for name in here],
            [judge[name] for name in here],
            [judge[name] for name in others],
            drawn_at_random=True,
        )
    )
    assert blended.estimate == pytest.approx(oracle.estimate.estimate)
    assert oracle.estimate.interval is not None
    assert blended.low == pytest.approx(oracle.estimate.interval.low)
    assert blended.notes[-1] == str(oracle)
    assert blended.notes[-1].startswith("60 labels count as about")
    details = blended.details or {}
    assert details["people"] == pytest.approx(people.estimate)
    assert details["worth"] > 60


def test_what_was_left_out_of_the_draw_is_not_in_the_blend(tmp_path: Path) -> None:
    items = [*ITEMS[:90], *(replace(each, a="", b="x") for each in ITEMS[90:])]
    key = drawn(items)
    path = imported(tmp_path, key, by_number)
    judge = {each.id: 1.0 for each in items[:89]}
    _, blended = signals(path, Meeting("new", "old", items, judge=judge))
    assert blended.n == 89
    assert blended.notes[-1] == "1 prompt without a verdict left out"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": "by hand"}, "did not draw at random"),
        ({"population_sha256": "0"}, "drawn from other answers"),
        ({}, "several draws"),
    ],
)
def test_no_blend_without_a_random_draw(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    votes = read_person_votes(imported(tmp_path, drawn(), by_number))
    changed = [replace(each, sample={**each.sample, **change}) for each in votes]
    if not change:
        changed[0] = replace(votes[0], sample={**votes[0].sample, "key": "another"})
    meeting = replace(MEETING, judge=judged())
    people, blended = people_signals(changed, meeting)
    assert people.is_defined
    assert (blended.estimate, blended.is_defined) == (None, False)
    assert reason in blended.notes[0]


def test_no_blend_where_all_have_votes_or_no_verdict(tmp_path: Path) -> None:
    votes = read_person_votes(imported(tmp_path, drawn(n=100), by_number))
    for judge in (judged(), {"elsewhere": 1.0}):
        _, blended = people_signals(votes, replace(MEETING, judge=judge))
        assert "prompts with votes and prompts without" in blended.notes[0]


def test_a_file_that_holds_no_votes(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps({"id": "p", "answer": "x", "revision": "y", "label": "accept"}))
    with pytest.raises(DataError, match=r"votes.jsonl:1: the row is no vote on two answers: `a`"):
        read_person_votes(path)
    path.write_text("")
    with pytest.raises(DataError, match="there is no vote"):
        read_person_votes(path)


@pytest.mark.slow
def test_the_blend_covers_and_is_narrower_than_people_alone(tmp_path: Path) -> None:
    """A biased judge on 400 prompts, people on 60 of them: 95 % intervals hold the truth."""
    items = [item(at) for at in range(400)]
    truth, covered, narrower, studies = 0.6, 0, 0, 60
    for study in range(studies):
        generator = np.random.default_rng(study)
        wins = generator.random(400) < truth
        said = {each.id: "a" if won else "b" for each, won in zip(items, wins, strict=True)}
        right = generator.random(400) < 0.85
        judge = {
            each.id: float(won) if ok else 1.0
            for each, won, ok in zip(items, wins, right, strict=True)
        }
        key = drawn(items, seed=study, raters=("A",))
        path = imported(tmp_path, key, lambda each, _, said=said: said[each.id])
        people, blended = signals(path, Meeting("new", "old", items, judge=judge))
        covered += (blended.low or 0) <= truth <= (blended.high or 0)
        narrower += (blended.details or {})["standard_error"] < (people.details or {})[
            "standard_error"
        ]
    assert covered >= 52  # of 60; below that in 1 of 100 suites at 95 %
    assert narrower == studies
