"""What a run directory says of its conversations; system turns; rows that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import CHATML, make_tokenizer

from clairkit.batching import ChatEncoder, encode_pairs
from clairkit.batching.chat_settings import ChatSettings, fold_system, run_chat_settings
from clairkit.errors import DataError
from clairkit.records import Message, Pair

REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
)


def turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def pair(*prompt: Message) -> Pair:
    return Pair(prompt, (turn("assistant", "a"),), (turn("assistant", "b"),))


SYSTEM, USER = turn("system", "be brief"), turn("user", "say the quick")


@pytest.mark.parametrize("below", ["", "checkpoint-12"])
def test_a_run_and_its_checkpoints_have_the_runs_settings(tmp_path: Path, below: str) -> None:
    text = "chat_template_kwargs: {enable_thinking: false}  # --set\nfold_system: true\nbeta: 0.1\n"
    (tmp_path / "config.yaml").write_text(text)
    found = run_chat_settings(str(tmp_path / below))
    assert found == ChatSettings({"enable_thinking": False}, None, True)
    assert ChatSettings({}).over(found) == ChatSettings({}, None, True)
    assert found.changed() == {
        "chat_template_kwargs": {"enable_thinking": False},
        "fold_system": True,
    }


@pytest.mark.parametrize(
    "text", ["", "- 1", "{", "chat_template_kwargs: 7\nfold_system: maybe", "a: &a [*a]"]
)
def test_other_folders_say_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert run_chat_settings(str(tmp_path)) == ChatSettings()
    assert run_chat_settings("org/name") == ChatSettings()


def test_a_system_turn_becomes_the_beginning_of_the_users() -> None:
    assert fold_system([SYSTEM, USER]) == [turn("user", "be brief\n\nsay the quick")]
    assert fold_system([USER]) == [USER]
    assert fold_system([SYSTEM]) == [turn("user", "be brief")]
    encoder = ChatEncoder(make_tokenizer(REFUSES + CHATML), fold=True)
    folded = ChatEncoder(make_tokenizer()).prompt([turn("user", "be brief\n\nsay the quick")])
    assert encoder.prompt([SYSTEM, USER]) == folded
    assert encoder.response([SYSTEM, USER], [turn("assistant", "a")]).prompt_ids == folded


def test_pairs_that_a_template_refuses_are_all_counted() -> None:
    encoder: Any = ChatEncoder(make_tokenizer(REFUSES + CHATML))
    pairs = [pair(USER), pair(SYSTEM, USER), pair(SYSTEM, turn("user", "x"))]
    with pytest.raises(DataError, match=r"2 of 3 pairs can't be rendered.*--skip-bad"):
        encode_pairs(pairs, encoder)
    found = encode_pairs(pairs, encoder, skip_bad=True)
    assert (len(found.pairs), found.counts["refused"]) == (1, 2)
    with pytest.raises(DataError, match="no system role"):
        encode_pairs(pairs[1:], encoder, skip_bad=True)
