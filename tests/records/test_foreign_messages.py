"""Messages in the forms of others: what is taken for them, and what stays a text."""

from __future__ import annotations

import json

import pytest

from clairkit.records.faults import RowFault
from clairkit.records.forms import to_pair, to_prompt

ASK = {"role": "user", "content": "Name a colour."}
GOOD = {"role": "assistant", "content": "Blue."}
EXPLICIT = {"prompt": [ASK], "chosen": [GOOD], "rejected": "Bleu."}


@pytest.mark.parametrize(
    "text",
    [
        '[{"from": "Tokyo", "to": "Osaka"}]',
        '{"content": "x"}',
        "[1, 2]",
        'Explain [{"role": "user", "content": "x"}]',
        '[{"from": "a", "value": "b"}',
    ],
)
def test_other_json_is_an_answers_own_text(text: str) -> None:
    pair = to_pair({**EXPLICIT, "chosen": text})
    assert pair.chosen == ({"role": "assistant", "content": text},)
    assert to_prompt({"prompt": "Hi", "answer": text}).answer == text


def test_an_answer_may_stand_in_a_message() -> None:
    for answer in ([GOOD], GOOD, json.dumps([GOOD])):
        assert to_prompt({"prompt": "Hi", "answer": answer}).answer == "Blue."
    for answer in ([ASK, GOOD], [ASK], json.dumps([ASK, GOOD])):
        with pytest.raises(RowFault, match="one message of the assistant"):
            to_prompt({"prompt": "Hi", "answer": answer})
