"""Planted faults: what each kind does, where it keeps away from, that it can be told afterwards."""

from __future__ import annotations

import pytest
from counted_work import counted_calls
from hypothesis import given
from hypothesis import strategies as st

from clairkit.probe.cases import built_in
from clairkit.probe.fault_injection import PLANTERS, TEXTS, plant
from clairkit.probe.fault_repair import collateral, repair
from clairkit.texts import languages

GOOD = [row for language in languages(TEXTS) for row in built_in(language)]
STEPS = "Do this:\n1. Open it.\n2. Press the red button.\n3. Wait.\n4. Close it.\n\nDone in 90 s."


WORDS = st.sampled_from(
    [
        "is",
        "not",
        "5",
        "box",
        "open it",
        "40",
        "1,000",
        "can",
        "\n1. ",
        "\n2. ",
        "\n3. ",
        "\n4. ",
        ". ",
        "\n```\n",
        "f(x)",
        "a <= b",
        "箱",
        "ます。",
        " ",
        "https://a.org/b",
        "https://ab.net",
    ]
)


@given(st.lists(WORDS, max_size=40).map("".join), st.sampled_from(sorted(PLANTERS)))
def test_a_fault_in_any_text_is_told_from_the_original(answer: str, kind: str) -> None:
    fault = plant(kind, answer)
    if fault is not None:
        assert repair(fault, answer) == "fixed"
        assert repair(fault, fault.text) == "missed"


@given(st.sampled_from(GOOD), st.sampled_from(sorted(PLANTERS)), st.integers(0, 99))
def test_a_fault_is_told_from_the_original(row, kind: str, seed: int) -> None:  # type: ignore[no-untyped-def]
    fault = plant(kind, row.answer, prompt=row.prompt[0]["content"], seed=seed)
    if fault is None:
        return
    assert fault.text != fault.original == row.answer
    assert (repair(fault, fault.original), repair(fault, fault.text)) == ("fixed", "missed")
    assert collateral(fault, fault.original) == collateral(fault, fault.text) == 0
    assert plant(kind, row.answer, prompt=row.prompt[0]["content"], seed=seed) == fault


@pytest.mark.parametrize("language", languages(TEXTS))
def test_the_built_in_answers_hold_faults_of_each_kind(language: str) -> None:
    for kind in PLANTERS:
        found = [plant(kind, row.answer or "") for row in built_in(language)]
        assert sum(fault is not None for fault in found) >= 2, kind


@pytest.mark.parametrize(
    ("answer", "right", "digits"),
    [
        ("It costs 40 euros.", "40", "1789"),
        ("It costs 1,250.50 euros.", "1,250.50", "456789"),
        ("Since 1994.", "1994", "123456"),  # the decade: 9 to 6 or less
        ("料金は300円です。", "300", "6789"),
        ("1. Take 8 of them.\n2. See https://a.org/7.", "8", "12345"),
    ],
)
def test_numbers(answer: str, right: str, digits: str) -> None:
    at = 2 if right == "1994" else 0
    for seed in range(12):
        fault = plant("number", answer, seed=seed)
        assert fault is not None
        assert fault.right == right
        assert fault.wrong[at] in digits
        assert (fault.wrong[:at], fault.wrong[at + 1 :]) == (right[:at], right[at + 1 :])
        assert fault.text == answer.replace(right, fault.wrong)


@pytest.mark.parametrize(
    "answer",
    [
        "No number.",
        "Twice 5 and 5.",  # either could be the one that was changed
        "At 14:25, 3-5 times, v2, x_1, 4th.",
        "```\nx = 12\n```",
    ],
)
def test_where_no_number_is_planted(answer: str) -> None:
    assert plant("number", answer) is None


def test_no_number_of_the_prompt_is_used_as_the_wrong_one() -> None:
    for seed in range(30):
        fault = plant("number", "It is 5.", prompt="Is it 1, 8 or 9?", seed=seed)
        assert fault is not None
        assert fault.wrong == "2"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("The shop is open.", "The shop is not open."),
        ("They should not be mixed.", "They should be mixed."),
        ("You cannot go.", "You can go."),
        ("You can go.", "You cannot go."),
        ("It never rains.", "It always rains."),
        ("店は開いています。", "店は開いていません。"),
        ("返品できません。", "返品できます。"),
        ("これは無料です。", "これは無料ではありません。"),
        ("電源を切ってから確認してください。", "電源を切ってから確認しないでください。"),
    ],
)
def test_negations(answer: str, text: str) -> None:
    fault = plant("negation", answer)
    assert fault is not None
    assert fault.text == text


def test_a_japanese_negation_becomes_what_people_write() -> None:
    for seed in range(9):
        fault = plant("negation", "これは無料ではありません。", seed=seed)
        assert fault is not None
        assert fault.text == "これは無料です。"


@pytest.mark.parametrize(
    "answer",
    ["There is no bread.", "It is not only cheap.", "Is it?", "```\nif x is None: y\n```", "Yes."],
)
def test_where_nothing_is_negated(answer: str) -> None:
    assert plant("negation", answer) is None


def test_a_long_answer_that_says_one_thing_over_and_over_is_tried_a_few_times() -> None:
    found, calls = counted_calls(lambda: plant("negation", "It is so. " * 2_000))
    assert found is None
    assert calls < 3_000_000  # without a limit: many more than can be waited for


def test_a_step_is_dropped_and_the_others_are_numbered_anew() -> None:
    fault = plant("step", STEPS)
    assert fault is not None
    assert fault.right in ("Press the red button.", "Wait.")
    rest = [
        step
        for step in ("Open it.", "Press the red button.", "Wait.", "Close it.")
        if step != fault.right
    ]
    lines = [f"{number}. {step}" for number, step in enumerate(rest, 1)]
    assert fault.text == "Do this:\n" + "\n".join(lines) + "\n\nDone in 90 s."


@pytest.mark.parametrize(
    "answer",
    [
        "1. a\n2. b\n3. c",
        "1. a\n2. b\n1. a\n2. b",
        "2. a\n3. b\n4. c\n5. d",
        "a b c d",
        "A label.\n1. Open it.\n2. Take the label.\n3. Label it.\n4. Take it.",
    ],
)
def test_where_no_step_is_dropped(answer: str) -> None:
    assert plant("step", answer) is None


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("if a <= b", "if a < b"),
        ("if a == b", "if a != b"),
        ("return True", "return False"),
        ("x = y + z", "x = y - z"),
        ("ORDER BY n DESC;", "ORDER BY n ASC;"),
        ("f(g(x))", "f(g(x)"),
    ],
)
def test_code(line: str, broken: str) -> None:
    fault = plant("code", f"Try a <= b:\n```\n{line}\nend\n```\nTrue.")
    assert fault is not None
    assert (fault.right, fault.wrong) == (line, broken)
    assert fault.text == f"Try a <= b:\n```\n{broken}\nend\n```\nTrue."


def test_a_line_of_code_that_stands_there_twice_is_left_alone() -> None:
    assert plant("code", "```\nx = y + z\nx = y + z\n```") is None


def test_links() -> None:
    answer = "See (https://www.example.org/a_b?c=1#d), please."
    found = {plant("url", answer, seed=seed).text for seed in range(20)}  # type: ignore[union-attr]
    assert found == {
        "See (htps://www.example.org/a_b?c=1#d), please.",
        "See (https://www.exapmle.org/a_b?c=1#d), please.",
    }
    assert plant("url", "No link, http alone.") is None
    assert plant("url", "https://a.org and https://a.org") is None
