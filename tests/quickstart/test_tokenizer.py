"""The tokenizer: any text comes back, the template's prompt is a prefix, words are whole."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clairkit.batching import ChatEncoder
from clairkit.quickstart import MODEL
from clairkit.quickstart.task import CLOSING, GOODS, UNIT, Bill, Item
from clairkit.quickstart.tokenizer import END, PAD, build_tokenizer

BILL = Bill((Item(2, "pens", 6), Item(3, "mugs", 7)))


@functools.cache
def built() -> Any:
    return build_tokenizer()


@pytest.fixture
def tokenizer() -> Any:
    return built()


@settings(deadline=None)  # the first call builds the tokenizer
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(text: str) -> None:
    tokenizer = built()
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_words_of_the_task_are_one_token_and_digits_stand_alone(tokenizer: Any) -> None:
    for word in (UNIT, *(f" {good}" for good in GOODS)):
        assert len(tokenizer(word)["input_ids"]) == 1
    assert len(tokenizer("1207")["input_ids"]) == 4
    assert len(tokenizer(CLOSING)["input_ids"]) == 6


def test_special_tokens_are_set_and_single(tokenizer: Any) -> None:
    assert (tokenizer.pad_token, tokenizer.eos_token) == (PAD, END)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    for text in (PAD, END, "<|system|>", "<|user|>", "<|assistant|>"):
        assert len(tokenizer(text)["input_ids"]) == 1
        assert text in tokenizer.all_special_tokens


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]])
def test_the_prompt_is_a_prefix_of_the_conversation(
    tokenizer: Any, system: list[dict[str, str]]
) -> None:
    prompt = [*system, {"role": "user", "content": BILL.prompt}]
    answer = [{"role": "assistant", "content": BILL.answer()}]
    head = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*prompt, *answer], tokenize=False)
    assert whole == head + BILL.answer() + END


def test_the_librarys_encoder_takes_it_without_realignment(tokenizer: Any) -> None:
    prompt = [{"role": "user", "content": BILL.prompt}]
    encoded = ChatEncoder(tokenizer).response(
        prompt, [{"role": "assistant", "content": BILL.answer()}]
    )
    assert not encoded.realigned
    assert encoded.response_ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(encoded.response_ids[:-1]) == BILL.answer()


def test_the_shipped_tokenizer_is_the_one_built_here(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (tmp_path / name).read_bytes() == (MODEL / name).read_bytes(), name
