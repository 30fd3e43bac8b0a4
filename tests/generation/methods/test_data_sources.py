"""The three methods beside `clair`: what each asks, and what its pairs and settings hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from driving import Named, drive, longer, prefers

from clairkit.engine.program import Call, Quarantined
from clairkit.errors import DataError, UsageError
from clairkit.generation.gates import GatePolicy
from clairkit.generation.methods import make_method
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.generation.settings import BuildSettings
from clairkit.judging.rubrics import load_rubric
from clairkit.models.requests import AnswerRequest, JudgeRequest
from clairkit.models.sampling import Failure, Outcome, Reply, Sampling
from clairkit.records import Message, Pair, PromptRow

PROMPT = (Message(role="user", content="q"),)
BARE = PromptRow(PROMPT, id="row-1", extra={"topic": "sums"})
ANSWERED = PromptRow(PROMPT, "given answer", id="row-1")
SETTINGS = BuildSettings(samples=3, answer_sampling=Sampling(seed=7))


def model(name: str, **options: Any) -> Named:
    return Named(f"openai:{name}", identity={"kind": "openai", "model": name}, **options)


TARGET, JUDGE, STRONG = model("target"), model("judge"), model("strong")


def run(
    method: str, row: PromptRow, answers: Any, settings: BuildSettings = SETTINGS, **models: Named
) -> tuple[Pair | Quarantined, list[list[Call]]]:
    """Answers are said in turn; the judge likes longer ones."""
    said = iter(answers)

    def say(call: Call) -> str | Outcome:
        if isinstance(call.task.request, JudgeRequest):
            assert call.model is JUDGE
            return prefers(longer)(call)
        assert isinstance(call.task.request, AnswerRequest)
        assert call.task.messages == PROMPT
        given: str | Outcome = next(said)
        return given

    return drive(make_method(method, settings, models).program(row), say)


def on_policy(row: PromptRow, *answers: str | Outcome) -> tuple[Any, list[list[Call]]]:
    return run("judge-on-policy", row, answers, target=TARGET, judge=JUDGE)


def test_on_policy_samples_have_a_seed_each() -> None:
    pair, (asked, *_) = on_policy(BARE, "bb", "a", "ccc")
    assert [call.step for call in asked] == ["answer", "answer.2", "answer.3"]
    assert [call.task.sampling.seed for call in asked] == [7, 8, 9]
    assert len({call.task.key for call in asked}) == 3
    assert {call.model.name for call in asked} == {TARGET.name}
    assert (pair.chosen[0]["content"], pair.rejected[0]["content"]) == ("ccc", "a")
    assert pair.provenance["chosen_by"] == {"sample": 3}
    assert pair.provenance["target_sampling"]["seed"] == 7
    assert pair.extra == {"topic": "sums"}
    assert pair.source == "judge_on_policy"


def test_on_policy_takes_a_rows_own_answer_for_its_first_sample() -> None:
    pair, (asked, *_) = on_policy(ANSWERED, "a", "ccc")
    assert [call.task.sampling.seed for call in asked] == [8, 9]
    assert pair.chosen[0]["content"] == "given answer"
    assert pair.provenance["chosen_by"] == {"sample": 1}


def test_on_policy_leaves_out_samples_that_were_cut() -> None:
    pair, _ = on_policy(BARE, "bb", Reply("long, but cut", finish_reason="length"), "ccc")
    assert pair.chosen[0]["content"] == "ccc"


def test_on_policy_at_temperature_zero_is_refused() -> None:
    settings = replace(SETTINGS, answer_sampling=Sampling(temperature=0.0))
    with pytest.raises(UsageError, match="at temperature 0 all are the same"):
        make_method("judge-on-policy", settings, {"target": TARGET, "judge": JUDGE})


@pytest.mark.parametrize(
    ("method", "missing"),
    [
        ("judge-on-policy", "target"),
        ("judge-on-policy", "judge"),
        ("stronger-preferred", "reviser"),
    ],
)
def test_models_that_are_missing(method: str, missing: str) -> None:
    models = {"target": TARGET, "judge": JUDGE, "reviser": STRONG}
    del models[missing]
    with pytest.raises(UsageError, match=f"needs a {missing}"):
        make_method(method, SETTINGS, models)


OFF = replace(SETTINGS, candidates=("openai:one", "gpt_answer", "openai:two"))
ONE, TWO = model("one"), model("two")


def off_policy(row: PromptRow, *answers: str | Outcome) -> tuple[Any, list[list[Call]]]:
    models = {"candidate.1": ONE, "candidate.3": TWO, "judge": JUDGE}
    return run("judge-off-policy", row, answers, OFF, **models)


def test_off_policy_takes_given_and_generated_answers() -> None:
    row = PromptRow(PROMPT, "not asked for", extra={"gpt_answer": "middle"})
    pair, (asked, *_) = off_policy(row, "a", "the longest")
    assert [(call.model, call.step) for call in asked] == [
        (ONE, "answer.candidate.1"),
        (TWO, "answer.candidate.3"),
    ]
    assert (pair.chosen[0]["content"], pair.rejected[0]["content"]) == ("the longest", "a")
    assert pair.provenance["chosen_by"] == {"role": "candidate.3"}
    assert pair.provenance["candidate.3"] == {"kind": "openai", "model": "two"}
    assert pair.source == "judge_off_policy"
    pair, _ = off_policy(row, "a", "bb")
    assert pair.provenance["chosen_by"] == {"column": "gpt_answer"}


def test_off_policy_of_given_answers_alone_asks_the_judge_alone() -> None:
    settings = replace(SETTINGS, candidates=("one", "two"))
    row = PromptRow(PROMPT, extra={"one": "a", "two": "bb", "other": "kept"})
    pair, rounds = run("judge-off-policy", row, [], settings, judge=JUDGE)
    assert isinstance(pair, Pair)
    assert pair.chosen[0]["content"] == "bb"
    assert pair.extra["other"] == "kept"
    assert [[call.step for call in calls] for calls in rounds] == [["judge", "judge"]]


def test_off_policy_columns() -> None:
    found, _ = off_policy(PromptRow(PROMPT, extra={"gpt_answer": None}), "a", Failure("too_long"))
    assert (found.failure.reason, found.step) == ("too_long", "answer")
    with pytest.raises(DataError, match="Did you mean gpt_anser"):
        off_policy(PromptRow(PROMPT, id="r9", extra={"gpt_anser": "a"}), "a", "b")
    with pytest.raises(DataError, match="r9: column 'gpt_answer' holds no text"):
        off_policy(PromptRow(PROMPT, id="r9", extra={"gpt_answer": 3}), "a", "b")


def test_the_answer_column_is_a_column_of_answers() -> None:
    settings = replace(SETTINGS, candidates=("answer", "other"))
    row = PromptRow(PROMPT, "given answer", id="r9", extra={"other": "a"})
    pair, _ = run("judge-off-policy", row, [], settings, judge=JUDGE)
    assert isinstance(pair, Pair)
    assert pair.chosen[0]["content"] == "given answer"
    with pytest.raises(DataError, match="It has: answer, othr"):
        run("judge-off-policy", replace(row, extra={"othr": "a"}), [], settings, judge=JUDGE)


def test_off_policy_needs_two_candidates() -> None:
    settings = replace(SETTINGS, candidates=("one",))
    with pytest.raises(UsageError, match="two candidates or more"):
        make_method("judge-off-policy", settings, {"judge": JUDGE})


def stronger(
    row: PromptRow, *answers: str | Outcome, settings: BuildSettings = SETTINGS
) -> tuple[Any, list[list[Call]]]:
    return run("stronger-preferred", row, answers, settings, target=TARGET, reviser=STRONG)


def test_the_stronger_answer_is_preferred() -> None:
    pair, (first, second) = stronger(BARE, "own answer", "better answer")
    assert [(call.model, call.step) for call in (*first, *second)] == [
        (TARGET, "answer"),
        (STRONG, "stronger"),
    ]
    assert first[0].task.sampling == SETTINGS.answer_sampling
    assert second[0].task.sampling == SETTINGS.revise_sampling
    assert pair.chosen[0]["content"] == "better answer"
    assert pair.rejected[0]["content"] == "own answer"
    assert pair.source == "stronger_preferred"
    assert pair.provenance["reviser"] == {"kind": "openai", "model": "strong"}


def test_a_given_answer_needs_no_target() -> None:
    method = make_method("stronger-preferred", SETTINGS, {"reviser": STRONG})
    pair, rounds = drive(method.program(ANSWERED), lambda call: "better answer")
    assert isinstance(pair, Pair)
    assert len(rounds) == 1
    assert pair.rejected[0]["content"] == "given answer"
    assert "target" not in pair.provenance


def test_the_stronger_model_is_not_paid_for_an_answer_that_failed() -> None:
    found, rounds = stronger(BARE, Reply("cut", finish_reason="length"))
    assert (found.failure.reason, found.step) == ("answer_truncated", "answer")
    assert len(rounds) == 1


REFUSAL = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    ("better", "reason"),
    [(REFUSAL, "refusal"), ("own  answer.", "no_op"), (Failure("too_long"), "too_long")],
)
def test_a_stronger_answer_that_makes_no_pair(better: str | Outcome, reason: str) -> None:
    found, _ = stronger(BARE, "own answer.", better)
    assert (found.failure.reason, found.step) == (reason, "stronger")


def test_gates_of_a_stronger_answer_follow_the_policy() -> None:
    flagged = replace(SETTINGS, gates=GatePolicy({"refusal": "flag"}))
    pair, _ = stronger(BARE, "own answer.", REFUSAL, settings=flagged)
    assert [flag["reason"] for flag in pair.provenance["flags"]] == ["refusal"]
    dropping = replace(SETTINGS, gates=GatePolicy({"refusal": "drop"}))
    models = {"reviser": STRONG}
    flat = [
        make_method("stronger-preferred", each, models).settings() for each in (flagged, dropping)
    ]
    assert [each["gate.refusal"] for each in flat] == ["flag", "drop"]
    # Another answer is no revision: that it is longer, or has other numbers, is no fault.
    pair, _ = stronger(BARE, "It is 4.", f"It is 5, for {'many reasons, ' * 50}I think.")
    assert "flags" not in pair.provenance


@pytest.mark.parametrize(
    ("method", "models"),
    [
        ("judge-on-policy", {"target": TARGET, "judge": JUDGE}),
        ("judge-off-policy", {"candidate.1": ONE, "judge": JUDGE}),
        ("stronger-preferred", {"target": TARGET, "reviser": STRONG}),
    ],
)
def test_settings_tell_runs_apart(method: str, models: dict[str, Named]) -> None:
    base = replace(SETTINGS, candidates=("openai:one", "column"))
    made = make_method(method, base, models)
    flat = made.settings()
    assert flat["method"] == made.name == method
    assert set(made.models) == set(models)
    for value in flat.values():
        assert value is None or isinstance(value, str | int | float | list)
    for role in models:
        changed = {**models, role: model("another")}
        assert make_method(method, base, changed).settings() != flat
    hotter = replace(base, answer_sampling=Sampling(temperature=0.5))
    assert make_method(method, hotter, models).settings() != flat


@pytest.mark.parametrize("method", ["judge-on-policy", "judge-off-policy"])
def test_the_judge_goes_by_the_rubric_and_language_of_the_settings(method: str) -> None:
    models = {"target": TARGET, "judge": JUDGE}
    base = replace(SETTINGS, candidates=("one", "two"))
    row = PromptRow(PROMPT, "given", extra={"one": "a", "two": "bb"})

    def asked(settings: BuildSettings) -> str:
        program = make_method(method, settings, models).program(row)
        _, rounds = drive(program, lambda call: "no verdict" if call.model is JUDGE else "other")
        content: str = rounds[-1][0].task.messages[0]["content"]
        return content

    concise = replace(base, revise=ReviseSettings(rubric="concise", language="ja"))
    assert load_rubric(None).text in asked(base)
    assert load_rubric("concise", "ja").text in asked(concise)
    assert "回答A" in asked(concise)
    flat = [make_method(method, each, models).settings() for each in (base, concise)]
    assert flat[0]["judge.rubric"] != flat[1]["judge.rubric"]
