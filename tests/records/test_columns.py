"""Columns of foreign files: what is not read is refused, and no prompt is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import DataError
from clairkit.records import ColumnChoice, read_pairs, read_prompts, write_rows
from clairkit.records.faults import RowFault
from clairkit.records.forms import to_pair, to_prompt

SIDES = {"chosen": "The sum is 42.", "rejected": "The sum is 43."}
TRANSCRIPTS = {side: f"\n\nHuman: Hi\n\nAssistant: {side}" for side in SIDES}
ASK = {"role": "user", "content": "Hi"}
MESSAGES = {side: [ASK, {"role": "assistant", "content": side}] for side in SIDES}
UNREAD = {
    "images": ["a.png"],
    "image": "a.png",
    "audio": {"path": "a.wav", "bytes": None},
    "tools": [{"type": "function"}],
    "chat_template_kwargs": {"enable_thinking": False},
    "history": [["Hi", "Ho"]],
    "system": "Be brief.",
    "system_prompt": "Be brief.",
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_column_that_nothing_reads_is_refused_by_name(name: str) -> None:
    for row in ({"prompt": "Hi", **SIDES}, {"prompt": "Hi"}, MESSAGES):
        convert = to_pair if "chosen" in row else to_prompt
        with pytest.raises(RowFault, match=f"column `{name}`") as caught:
            convert({**row, name: UNREAD[name]})
        assert caught.value.reason == "unread_column"
        assert f"--ignore-column {name}" in (caught.value.remedy or "")
    with pytest.raises(RowFault, match=f"column `{name}`"):
        to_pair({"prompt": "Hi", "chosen": "Ho", name: UNREAD[name]}, one_sided=True)


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("value", [None, [], {}, "", " ", "[]", {"a": None}, 3, True])
def test_a_column_that_says_nothing_is_carried_along(name: str, value: Any) -> None:
    assert to_prompt({"prompt": "Hi", name: value}).extra == {name: value}


def test_a_system_column_beside_a_system_turn_is_another_column() -> None:
    row = {"prompt": [{"role": "system", "content": "Be brief."}, ASK], "system": "Be brief."}
    assert to_prompt(row).extra == {"system": "Be brief."}


WORDS = ("question", "instruction", "query", "input", "text", "Prompt", "質問", "messages")


@pytest.mark.parametrize("name", [*WORDS, "frage", "col_3"])
def test_the_common_beginning_is_no_prompt_where_a_column_could_be(name: str) -> None:
    value = "What is the sum of 12 and 30?" if name != "messages" else [ASK]
    with pytest.raises(RowFault, match=f"`{name}` could be the prompt") as caught:
        to_pair({name: value, **SIDES})
    assert f"--prompt-column {name}" in (caught.value.remedy or "")


def test_two_halves_of_a_prompt_are_to_be_joined() -> None:
    row = {"instruction": "Add.", "input": "12 30", **SIDES}
    with pytest.raises(RowFault) as caught:
        to_pair(row)
    assert (caught.value.remedy or "").startswith("join `instruction` and `input`")
    with pytest.raises(RowFault, match="`input` belongs to the prompt"):
        ColumnChoice(prompt="instruction").apply(row)


@pytest.mark.parametrize(
    "more", [{}, {"lang": "en", "id": "a", "n": 3, "rationale": "it is so"}, {"question": ""}]
)
def test_labels_and_empty_columns_leave_the_common_beginning(more: dict[str, Any]) -> None:
    assert to_pair({**SIDES, **more}).prompt[0]["content"] == "The sum is"


@pytest.mark.parametrize("row", [TRANSCRIPTS, MESSAGES])
def test_transcripts_and_messages_hold_their_own_prompt(row: dict[str, Any]) -> None:
    pair = to_pair({**row, "question": "Another question?"})
    assert pair.prompt == (ASK,)
    assert pair.extra == {"question": "Another question?"}


def test_messages_without_a_shared_prompt_name_the_column() -> None:
    sides = {side: [{"role": "assistant", "content": text}] for side, text in SIDES.items()}
    with pytest.raises(RowFault, match="`question` could be the prompt"):
        to_pair({"question": "What is the sum?", **sides})


def test_a_choice_of_columns() -> None:
    row = {"system": "Be brief.", "question": "Sum?", "images": ["a"], "n": 1, **SIDES}
    choice = ColumnChoice(prompt="question", system="system", ignore=("images",))
    pair = to_pair(choice.apply(row))
    assert [turn["role"] for turn in pair.prompt] == ["system", "user"]
    assert pair.extra == {"n": 1}
    assert to_pair(choice.apply({**row, "system": ""})).prompt[0]["role"] == "user"


def test_an_answer_in_another_column() -> None:
    row = {"prompt": "Sum?", "output": "42", "n": 1}
    found = to_prompt(ColumnChoice(answer="output").apply(row))
    assert (found.answer, found.extra) == ("42", {"n": 1})
    named = {"prompt": "Sum?", "answer": "42"}
    assert to_prompt(ColumnChoice(answer="answer").apply(named)).answer == "42"


@pytest.mark.parametrize(
    ("choice", "row", "message"),
    [
        (ColumnChoice(answer="a"), {"prompt": "b"}, "`a` of --answer-column is missing"),
        (ColumnChoice(answer="a"), {"a": "1", "answer": "2"}, "a column `answer` as well"),
        (ColumnChoice(prompt="frage"), {"question": "a"}, "`frage` of --prompt-column is missing"),
        (ColumnChoice(system="sys"), {"prompt": "a"}, "`sys` of --system-column is missing"),
        (ColumnChoice(prompt="q"), {"q": "a", "prompt": "b"}, "a column `prompt` as well"),
        (ColumnChoice(system="s"), {"s": "a", "q": "b"}, "no column `prompt`"),
        (ColumnChoice(system="s"), {"s": ["a"], "prompt": "b"}, "must be the text of a system"),
    ],
)
def test_a_wrong_choice_is_named(choice: ColumnChoice, row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowFault, match=message):
        choice.apply(row)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ""])
def test_readers_of_every_kind_take_a_choice(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    write_rows(path, [{"question": "Sum?", "tools": [{"name": "f"}], **SIDES}])
    choice = ColumnChoice(prompt="question", ignore=("tools",))
    assert [pair.prompt[0]["content"] for pair in read_pairs(path, columns=choice)] == ["Sum?"]
    assert [row.extra for row in read_prompts(path, columns=choice)] == [SIDES]
    with pytest.raises(DataError, match="--prompt-column question"):
        list(read_pairs(path))


def test_an_ignored_column_may_hold_what_has_no_form(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"prompt": ["Hi"], "image": [b"\x89PNG"]}), path)
    with pytest.raises(DataError, match="--ignore-column image"):
        list(read_prompts(path))
    (row,) = read_prompts(path, columns=ColumnChoice(ignore=("image",)))
    assert row.extra == {}


def test_our_own_rows_come_back_unchanged() -> None:
    row = {"prompt": "Hi", "lang": "en", **SIDES}
    pair = to_pair(row)
    assert to_pair(json.loads(json.dumps(pair.to_json()))) == pair
