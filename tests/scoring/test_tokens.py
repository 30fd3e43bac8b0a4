"""Scores on model tokens, with a tokenizer of one token a byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import UsageError
from clairkit.scoring import load_tokenizer, score_pair, units_of


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<|start|>", "<|end|>"])
    start = ("<|start|>", inner.token_to_id("<|start|>"))
    inner.post_processor = processors.TemplateProcessing("<|start|> $A", special_tokens=[start])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|end|>", bos_token="<|start|>", name_or_path="bytes"
    )


def test_unit_and_tokenizer_stand_beside_the_numbers(tokenizer: Any) -> None:
    found = score_pair("é", "aé", "ab", tokenizer)
    assert (found.unit, found.tokenizer) == ("token", "bytes")
    assert (found.prompt_length, found.chosen_length, found.rejected_length) == (2, 3, 2)
    assert found.indel_similarity == pytest.approx(2 / 5)
    assert (found.edit_share_chosen, found.edit_share_rejected) == (2 / 3, 1 / 2)


def test_a_special_token_spelt_out_is_plain_text(tokenizer: Any) -> None:
    assert len(units_of("<|end|>", tokenizer)) == len("<|end|>")


def test_no_special_token_is_added(tokenizer: Any) -> None:
    assert len(tokenizer("")["input_ids"]) == 1  # it would add one
    assert units_of("", tokenizer) == []
    assert score_pair("p", "", "", tokenizer).flags == (
        "identical",
        "empty_chosen",
        "empty_rejected",
    )


def test_a_saved_tokenizer_is_loaded(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(f"hf:{tmp_path}")
    assert units_of("aé", loaded) == units_of("aé", tokenizer)


def test_no_tokenizer_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        load_tokenizer(str(tmp_path / "none"))
