"""Best and worst by comparing two at a time: exact, few comparisons, nothing made of ties."""

from __future__ import annotations

import random

import pytest
from driving import Named, drive, longer, prefers

from clairkit.engine.program import Quarantined
from clairkit.generation.methods.judged import Candidate, Knockout, judged_pair
from clairkit.judging.judge import Judge
from clairkit.models.requests import JudgeRequest
from clairkit.models.sampling import Failure, Reply
from clairkit.records import Message, Pair, PromptRow

ROW = PromptRow((Message(role="user", content="q"),), id="row-1")


def play(answers: list[str], say: object) -> tuple[object, Knockout, int]:
    knockout = Knockout(Judge(Named()), ROW, answers, 3)
    found, rounds = drive(knockout.play(), say)  # type: ignore[arg-type]
    assert [call.stage for calls in rounds for call in calls] == [
        3 + number for number, calls in enumerate(rounds) for _ in calls
    ]
    return found, knockout, len(rounds)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 8, 9, 13])
def test_best_and_worst_are_found_in_few_comparisons(count: int) -> None:
    for seed in range(20):
        lengths = random.Random(seed).sample(range(1, 100), count)
        found, knockout, rounds = play(["x" * length for length in lengths], prefers(longer))
        assert found == (lengths.index(max(lengths)), lengths.index(min(lengths)))
        assert len(knockout.judged) <= min(count * (count - 1) / 2, 1.5 * count)
        assert rounds <= 2 + count.bit_length()


def test_no_two_answers_are_compared_twice() -> None:
    asked = []

    def say(call: object) -> str:
        request = call.task.request  # type: ignore[attr-defined]
        asked.append((request.first, request.second))
        return prefers(longer)(call)  # type: ignore[arg-type, return-value]

    play(["x" * length for length in (5, 3, 9, 1, 7)], say)
    assert len(set(asked)) == len(asked)
    assert {(second, first) for first, second in asked} == set(asked)  # in both orders


def test_ties_alone_make_no_pair() -> None:
    found, _, _ = play(["aa", "bb", "cc", "dd"], prefers(longer))
    assert isinstance(found, Failure)
    assert found.reason == "judge_tie"


def test_ties_beside_a_difference_do_not_matter() -> None:
    found, _, _ = play(["bb", "aa", "c", "dd", "eee"], prefers(longer))
    assert found == (4, 2)


@pytest.mark.parametrize("always", [1, -1])
def test_a_judge_that_goes_by_the_place_makes_no_pair(always: int) -> None:
    for count in (2, 3, 4, 7):
        answers = [f"answer {number}" for number in range(count)]
        found, _, _ = play(answers, prefers(lambda *_: always))
        assert isinstance(found, Failure)
        assert found.reason == "judge_inconsistent"


def test_a_circle_makes_no_pair() -> None:
    """Stone, paper, scissors: each is better than one of the others."""
    beats = {("a", "b"), ("b", "c"), ("c", "a")}
    for answers in (["a", "b", "c"], ["b", "a", "c"], ["c", "b", "a"]):
        found, _, _ = play(
            answers, prefers(lambda first, second: 1 if (first, second) in beats else -1)
        )
        assert isinstance(found, Failure)
        assert found.reason == "judge_inconsistent"


def test_an_unclear_verdict_counts_as_a_tie_until_the_last() -> None:
    def say(call: object) -> str:
        request = call.task.request  # type: ignore[attr-defined]
        if {request.first, request.second} == unclear:
            return "I can't say."
        return prefers(longer)(call)  # type: ignore[arg-type, return-value]

    answers = ["x" * 4, "x" * 5, "x" * 9, "x"]
    unclear = {answers[0], answers[1]}
    found, _, _ = play(answers, say)
    assert found == (2, 3)
    unclear = {answers[2], answers[3]}  # the best and the worst
    found, _, _ = play(answers, say)
    assert isinstance(found, Failure)
    assert found.reason == "verdict_unclear"


def test_a_call_that_failed_ends_the_choosing() -> None:
    failed = Failure("request_failed", "503")
    found, _, rounds = play(["a", "bb", "ccc", "dddd"], lambda call: failed)
    assert (found, rounds) == (failed, 1)


def pair_of(*outcomes: Reply | Failure, say: object = None) -> Pair | Quarantined:
    candidates = [Candidate(each, {"sample": place}) for place, each in enumerate(outcomes, 1)]
    program = judged_pair(ROW, candidates, Judge(Named()), source="judge_on_policy", provenance={})
    return drive(program, say or prefers(longer))[0]  # type: ignore[arg-type]


def test_the_pair_says_who_said_what() -> None:
    failed = Failure("answer_truncated")
    pair = pair_of(Reply("middle"), failed, Reply("x"), Reply("the longest"), Reply("x"))
    assert isinstance(pair, Pair)
    assert pair.chosen[0]["content"] == "the longest"
    assert pair.rejected[0]["content"] == "x"
    assert pair.source == "judge_on_policy"
    assert pair.provenance["chosen_by"] == {"sample": 4}
    assert pair.provenance["rejected_by"] == {"sample": 3}
    assert pair.provenance["judge"] == {"kind": "openai", "model": "j"}
    assert pair.provenance["comparisons"] == 3


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([], "too_few_answers"),
        ([Reply("one")], "too_few_answers"),
        ([Reply("one"), Failure("answer_empty")], "answer_empty"),
        ([Failure("bad_request"), Failure("answer_empty")], "bad_request"),
        ([Reply("one"), Reply("one")], "same_answers"),
    ],
)
def test_nothing_to_choose_between(outcomes: list[Reply | Failure], reason: str) -> None:
    found = pair_of(*outcomes)
    assert isinstance(found, Quarantined)
    assert (found.failure.reason, found.step) == (reason, "answer")


def test_a_verdict_that_is_missing_is_the_rows_reason() -> None:
    found = pair_of(Reply("a"), Reply("bb"), say=lambda call: "no idea")
    assert isinstance(found, Quarantined)
    assert (found.failure.reason, found.step) == ("verdict_unclear", "judge")
    assert found.to_json()["reply"] == "no idea"


def test_the_judge_sees_answers_alone() -> None:
    def say(call: object) -> str:
        request = call.task.request  # type: ignore[attr-defined]
        assert isinstance(request, JudgeRequest)
        assert "sample" not in call.task.messages[0]["content"]  # type: ignore[attr-defined]
        return prefers(longer)(call)  # type: ignore[arg-type, return-value]

    assert isinstance(pair_of(Reply("a"), Reply("bb"), say=say), Pair)
