"""Each accepted form of a row, and what each refused one is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError
from clairkit.records import Pair, read_pairs
from clairkit.records.faults import RowFault
from clairkit.records.forms import to_pair, to_prompt

SYSTEM = {"role": "system", "content": "Be brief."}
ASK = {"role": "user", "content": "Name a colour."}
GOOD = {"role": "assistant", "content": "Blue."}
BAD = {"role": "assistant", "content": "Bleu."}
EXPLICIT = {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]}

SAME_PAIR = {
    "messages": EXPLICIT,
    "texts": {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "Bleu."},
    "text prompt, message sides": {**EXPLICIT, "prompt": "Name a colour."},
    "message prompt, text sides": {"prompt": [ASK], "chosen": "Blue.", "rejected": "Bleu."},
    "sides repeat a text prompt": {
        "prompt": "Name a colour.",
        "chosen": [ASK, GOOD],
        "rejected": [ASK, BAD],
    },
    "sides repeat the messages": {"prompt": [ASK], "chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
    "implicit messages": {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
    "transcript": {
        "chosen": "\n\nHuman: Name a colour.\n\nAssistant: Blue.",
        "rejected": "\n\nHuman: Name a colour.\n\nAssistant: Bleu.",
    },
    "distilabel": {
        "task": "Name a colour.",
        "student_solution": "Bleu.",
        "revision": "Blue.",
    },
    "OpenAI's preference tuning": {
        "input": {"messages": [ASK], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [GOOD],
        "non_preferred_output": [BAD],
    },
    "text parts": {
        "prompt": [{"role": "user", "content": [{"type": "text", "text": "Name a colour."}]}],
        "chosen": [{"role": "assistant", "content": [{"type": "output_text", "text": "Blue."}]}],
        "rejected": [BAD],
    },
    "ShareGPT": {
        "prompt": [{"from": "human", "value": "Name a colour."}],
        "chosen": {"from": "gpt", "value": "Blue."},
        "rejected": {"from": "gpt", "value": "Bleu."},
    },
    "messages as JSON text": {
        "prompt": "Name a colour.",
        "chosen": json.dumps([ASK, GOOD]),
        "rejected": json.dumps([ASK, BAD]),
    },
    "ShareGPT as JSON text, no prompt": {
        "chosen": json.dumps(
            [{"from": "human", "value": "Name a colour."}, {"from": "gpt", "value": "Blue."}]
        ),
        "rejected": json.dumps([ASK, BAD]),
    },
    "fields of a client library, all empty": {
        "prompt": [ASK],
        "chosen": [{**GOOD, "tool_calls": [], "annotations": [], "refusal": None, "audio": {}}],
        "rejected": [{**BAD, "reasoning_content": ""}],
    },
    "arrow structs with null fields": {
        "prompt": [{**ASK, "tool_calls": None}],
        "chosen": [{**GOOD, "tool_calls": None}],
        "rejected": [{**BAD, "name": None}],
    },
}


@pytest.mark.parametrize("row", SAME_PAIR.values(), ids=SAME_PAIR)
def test_every_form_of_one_pair_gives_the_same_pair(row: dict[str, Any]) -> None:
    assert to_pair(row) == Pair(prompt=(ASK,), chosen=(GOOD,), rejected=(BAD,))


def test_a_system_turn_before_a_text_prompt_is_kept() -> None:
    sides = {"chosen": [SYSTEM, ASK, GOOD], "rejected": [SYSTEM, ASK, BAD]}
    pair = to_pair({"prompt": "Name a colour.", **sides})
    assert pair.prompt == (SYSTEM, ASK)
    assert pair.prompt == to_pair(sides).prompt


def test_identical_sides_without_a_prompt_column_leave_the_answer_to_the_sides() -> None:
    pair = to_pair({"chosen": [ASK, GOOD], "rejected": [ASK, GOOD]})
    assert (pair.prompt, pair.chosen, pair.rejected) == ((ASK,), (GOOD,), (GOOD,))


def test_a_first_turn_that_both_answers_share_stays_with_the_answers() -> None:
    pair = to_pair({"chosen": [ASK, GOOD, ASK, GOOD], "rejected": [ASK, GOOD, ASK, BAD]})
    assert pair.prompt == (ASK, GOOD, ASK)
    short = to_pair({"chosen": [ASK, GOOD, GOOD], "rejected": [ASK, GOOD, BAD]})
    assert short.prompt == (ASK,)


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("Q: 1+1?\nA: two", "Q: 1+1?\nA: three", "Q: 1+1?\nA:"),
        ("空の色は?青い", "空の色は?青くない", "空の色は?"),
        ("Say hi. Hello", "Say hi. Help", "Say hi."),
        ("Ask: a", "Ask: ", "Ask:"),
    ],
)
def test_texts_without_a_prompt_are_cut_where_a_text_can_end(
    chosen: str, rejected: str, prompt: str
) -> None:
    pair = to_pair({"chosen": chosen, "rejected": rejected})
    assert pair.prompt[0]["content"] == prompt
    assert prompt + pair.chosen[0]["content"] == chosen
    assert prompt + pair.rejected[0]["content"] == rejected


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_implicit_texts_lose_no_character(shared: str, chosen: str, rejected: str) -> None:
    try:
        pair = to_pair({"chosen": shared + chosen, "rejected": shared + rejected})
    except RowFault as fault:
        assert fault.reason == "no_prompt"  # noqa: PT017 - one of two outcomes
        return
    prompt = pair.prompt[0]["content"]
    assert prompt + pair.chosen[0]["content"] == shared + chosen
    assert prompt + pair.rejected[0]["content"] == shared + rejected


def test_optional_columns_are_read_and_others_carried_along() -> None:
    pair = to_pair(
        {
            **EXPLICIT,
            "id": 7,
            "rational": "why",
            "source": "clair",
            "scores": {"a": 1},
            "provenance": {"by": "x"},
            "lang": "en",
            "tags": [1, {"b": None}],
        }
    )
    assert (pair.id, pair.rationale, pair.source) == ("7", "why", "clair")
    assert (pair.scores, pair.provenance) == ({"a": 1}, {"by": "x"})
    assert pair.extra == {"lang": "en", "tags": [1, {"b": None}]}
    assert to_pair(pair.to_json()) == pair


def test_a_foreign_source_is_kept_and_a_misspelt_one_refused() -> None:
    pair = to_pair({**EXPLICIT, "source": "evol_instruct"})
    assert (pair.source, pair.provenance) == ("imported", {"source": "evol_instruct"})
    with pytest.raises(RowFault, match="did you mean judge_on_policy"):
        to_pair({**EXPLICIT, "source": "judge-on-policy"})


def test_a_prompt_row_keeps_answer_id_and_other_columns() -> None:
    row = to_prompt({"prompt": "Hi", "answer": "Ho", "id": "a", "lang": "en", "n": 1})
    assert (row.prompt, row.answer, row.id) == (({"role": "user", "content": "Hi"},), "Ho", "a")
    assert row.extra == {"lang": "en", "n": 1}
    assert to_prompt(row.to_json()) == row
    assert to_prompt({"prompt": [SYSTEM, ASK], "answer": None}).answer is None


def test_an_id_is_computed_from_content_alone() -> None:
    first, second = (to_prompt({"prompt": "Hi", "n": n}) for n in range(2))
    assert first.id == second.id
    assert len(first.id) == 16
    assert to_prompt({"prompt": "Hi", "answer": "Ho"}).id != first.id


BAD_PAIRS = {
    "nothing": ({}, "missing_column", "`prompt`, `chosen`, `rejected` is missing"),
    "one missing": ({"prompt": "a", "chosen": "b"}, "missing_column", "`rejected` is missing"),
    "null": ({**EXPLICIT, "chosen": None}, "null_value", "`chosen` is null"),
    "number": ({**EXPLICIT, "rejected": 3}, "bad_type", "`rejected` must be text or a list"),
    "mixed": ({"chosen": "a", "rejected": [ASK, BAD]}, "bad_type", "must both be texts"),
    "no turns": ({**EXPLICIT, "chosen": []}, "empty_column", "`chosen` is an empty list"),
    "blank prompt": ({**EXPLICIT, "prompt": " \n"}, "empty_column", "`prompt` is blank"),
    "turn of text": ({**EXPLICIT, "chosen": ["x"]}, "bad_type", r"`chosen\[0\]` must be a message"),
    "content null": (
        {**EXPLICIT, "chosen": [{"role": "assistant", "content": None}]},
        "not_text",
        r"content of `chosen\[0\]` must be text and is null",
    ),
    "image part": (
        {**EXPLICIT, "prompt": [{"role": "user", "content": [{"type": "image"}]}]},
        "not_text",
        "has a part that is not text",
    ),
    "tool call": (
        {**EXPLICIT, "chosen": [{**GOOD, "tool_calls": [{"id": "1"}]}]},
        "not_text",
        "more than role and content: tool_calls",
    ),
    "call without content": (
        {**EXPLICIT, "chosen": [{"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}]},
        "not_text",
        "tool_calls",
    ),
    "thoughts": (
        {**EXPLICIT, "chosen": [{**GOOD, "reasoning_content": "Hm."}]},
        "not_text",
        "reasoning_content",
    ),
    "OpenAI's tools": (
        {
            "input": {"messages": [ASK], "tools": [{"type": "function"}]},
            "preferred_output": [GOOD],
            "non_preferred_output": [BAD],
        },
        "unread_column",
        "column `tools`",
    ),
    "messages torn in a cell": (
        {**EXPLICIT, "chosen": '[{"role": "assistant", "content": "x'},
        "bad_json",
        "begins like messages",
    ),
    "messages in Python's notation": (
        {**EXPLICIT, "chosen": "[{'role': 'assistant', 'content': 'x'}]"},
        "bad_json",
        "Python's notation",
    ),
    "no role": ({**EXPLICIT, "chosen": [{"content": "x"}]}, "bad_role", "has no role"),
    "prompt ends with the assistant": (
        {**EXPLICIT, "prompt": [ASK, GOOD]},
        "bad_role",
        "ends with an assistant's turn",
    ),
    "side ends with the user": (
        {**EXPLICIT, "chosen": [GOOD, ASK]},
        "bad_role",
        r"`chosen\[1\]` must be the assistant's turn and is the user's",
    ),
    "side repeats another prompt": (
        {**EXPLICIT, "chosen": [{"role": "user", "content": "?"}, GOOD]},
        "bad_role",
        "neither the assistant's nor `prompt`",
    ),
    "no shared messages": (
        {"chosen": [ASK, GOOD], "rejected": [SYSTEM, BAD]},
        "no_prompt",
        "same prompt messages",
    ),
    "no shared text": ({"chosen": "abc", "rejected": "abd"}, "no_prompt", "same text"),
    "surrogate": ({**EXPLICIT, "prompt": "a\ud83d"}, "bad_unicode", r"surrogate U\+D83D"),
    "surrogate in a turn": (
        {**EXPLICIT, "chosen": [{"role": "assistant", "content": "\udc00"}]},
        "bad_unicode",
        r"`chosen\[0\].content` holds the lone surrogate U\+DC00",
    ),
    "id of a list": ({**EXPLICIT, "id": []}, "bad_type", "`id` must be text or an integer"),
    "id true": ({**EXPLICIT, "id": True}, "bad_type", "is a boolean"),
    "scores of text": ({**EXPLICIT, "scores": "x"}, "bad_type", "`scores` must be an object"),
    "rationale of numbers": ({**EXPLICIT, "rationale": 1}, "bad_type", "`rationale` must be text"),
}


@pytest.mark.parametrize(("row", "reason", "problem"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_a_bad_pair_is_named(row: dict[str, Any], reason: str, problem: str) -> None:
    with pytest.raises(RowFault, match=problem) as caught:
        to_pair(row)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        ({"prompt": "a", "chosn": "b", "rejected": "c"}, "rename `chosn` to `chosen`"),
        ({"prompt": "a", "Chosen": "b", "loser": "c"}, "rename `Chosen` to `chosen` and rename"),
        ({"a": 1}, "use the columns prompt, chosen, rejected"),
        ({"prompt": "a", "expected": "b"}, "make pairs with `clairkit build-pairs`"),
    ],
)
def test_missing_pair_columns_are_suggested(row: dict[str, Any], remedy: str) -> None:
    with pytest.raises(RowFault) as caught:
        to_pair(row)
    assert remedy in (caught.value.remedy or "")


@pytest.mark.parametrize("name", ["instruction", "messages", "Prompt", "task", "promt"])
def test_other_words_for_a_prompt_are_suggested_not_guessed(name: str) -> None:
    with pytest.raises(RowFault) as caught:
        to_prompt({name: "Hi"})
    assert f"rename `{name}` to `prompt`" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("turn", "remedy"),
    [
        ({"role": "human", "content": "x"}, "did you mean user?"),
        ({"role": "Assistent", "content": "x"}, "did you mean assistant?"),
        ({"role": "narrator", "content": "x"}, "use one of system, user"),
        ({"from": "observation", "value": "x"}, "use system, human or gpt"),
    ],
)
def test_unknown_roles_are_suggested(turn: dict[str, Any], remedy: str) -> None:
    with pytest.raises(RowFault) as caught:
        to_prompt({"prompt": [turn]})
    assert caught.value.reason == "bad_role"
    assert remedy in (caught.value.remedy or "")


ONLY_CHOSEN = Pair(prompt=(ASK,), chosen=(GOOD,), rejected=())
ONLY_REJECTED = Pair(prompt=(ASK,), chosen=(), rejected=(BAD,))
ONE_SIDED = {
    "chosen": ({"prompt": [ASK], "chosen": [GOOD]}, ONLY_CHOSEN),
    "rejected": ({"prompt": "Name a colour.", "rejected": "Bleu."}, ONLY_REJECTED),
    "other side null": ({**EXPLICIT, "rejected": None}, ONLY_CHOSEN),
    "side repeats the prompt": ({"prompt": [ASK], "rejected": [ASK, BAD]}, ONLY_REJECTED),
    "side repeats a text prompt": ({"prompt": ASK["content"], "chosen": [ASK, GOOD]}, ONLY_CHOSEN),
    "label true": ({"prompt": [ASK], "completion": [GOOD], "label": True}, ONLY_CHOSEN),
    "label false": ({"prompt": [ASK], "completion": "Bleu.", "label": False}, ONLY_REJECTED),
    "label of CSV": ({"prompt": [ASK], "completion": "Bleu.", "label": "False"}, ONLY_REJECTED),
    "both columns null": (
        {"prompt": [ASK], "chosen": None, "rejected": None, "completion": [GOOD], "label": True},
        ONLY_CHOSEN,
    ),
}


@pytest.mark.parametrize(("row", "pair"), ONE_SIDED.values(), ids=ONE_SIDED)
def test_rows_of_one_side_are_read_when_asked_for(row: dict[str, Any], pair: Pair) -> None:
    found = to_pair(row, one_sided=True)
    assert found == pair
    assert found.extra == {}
    assert to_pair(found.to_json(), one_sided=True) == found


@pytest.mark.parametrize("row", [row for row, _ in ONE_SIDED.values()], ids=ONE_SIDED)
def test_rows_of_one_side_are_refused_otherwise(row: dict[str, Any]) -> None:
    with pytest.raises(RowFault) as caught:
        to_pair(row)
    assert caught.value.reason in ("missing_column", "null_value")
    assert "--loss apo_zero_unpaired" in (caught.value.remedy or "")


@pytest.mark.parametrize("row", SAME_PAIR.values(), ids=SAME_PAIR)
def test_pairs_are_read_the_same_among_rows_of_one_side(row: dict[str, Any]) -> None:
    assert to_pair(row, one_sided=True) == to_pair(row)


def test_completion_and_label_beside_both_sides_are_other_columns() -> None:
    row = {**EXPLICIT, "completion": "Red.", "label": True}
    assert to_pair(row, one_sided=True).extra == {"completion": "Red.", "label": True}


@pytest.mark.parametrize(
    ("row", "reason", "problem"),
    [
        ({"prompt": [ASK], "completion": "x", "label": 1}, "bad_type", "`label` must be true"),
        ({"prompt": [ASK], "completion": "x", "label": "yes"}, "bad_type", "`label` must be true"),
        ({"prompt": [ASK], "completion": "x", "label": None}, "missing_column", "is missing"),
        ({"prompt": [ASK], "chosen": None, "rejected": None}, "null_value", "`chosen` is null"),
        ({"completion": "x", "label": True}, "missing_column", "`prompt`, `chosen`"),
        ({"prompt": [ASK], "chosen": [ASK]}, "bad_role", "neither the assistant's nor"),
    ],
)
def test_a_bad_row_of_one_side_is_named(row: dict[str, Any], reason: str, problem: str) -> None:
    with pytest.raises(RowFault, match=problem) as caught:
        to_pair(row, one_sided=True)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", "prompt,completion,label\nName a colour.,Blue.,true\nName one.,Bleu.,FALSE\n"),
        (
            "rows.jsonl",
            '{"prompt": "Name a colour.", "chosen": "Blue."}\n'
            '{"prompt": "Name one.", "completion": "Bleu.", "label": false}\n',
        ),
    ],
)
def test_files_of_one_side_are_read_when_asked_for(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    chosen, rejected = read_pairs(path, one_sided=True)
    assert (chosen.chosen, chosen.rejected) == ((GOOD,), ())
    assert (rejected.chosen, rejected.rejected) == ((), (BAD,))
    with pytest.raises(DataError, match="--loss apo_zero_unpaired"):
        list(read_pairs(path))
