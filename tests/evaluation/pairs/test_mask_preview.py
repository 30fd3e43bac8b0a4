"""The preview of a loss mask: the trainer's own weights, and texts that make up the response."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_tokenizer

from clairkit.batching import ChatEncoder, encode_pairs
from clairkit.batching.collate import PairCollator
from clairkit.errors import DataError
from clairkit.evaluation.pairs.mask_preview import preview_mask, token_pieces
from clairkit.records import Pair
from clairkit.training.config import TrainConfig
from clairkit.training.data import TrainingCollator, TrainingPairs

TOKENIZER = make_tokenizer()
CONFIG = TrainConfig(model="m", pairs="p", output="o", loss_mask="edits")


def make_pair(chosen: str, rejected: str) -> Pair:
    def message(role: str, content: str) -> Any:
        return ({"role": role, "content": content},)

    return Pair(
        prompt=message("user", "Why?"),
        chosen=message("assistant", chosen),
        rejected=message("assistant", rejected),
        id="one",
    )


@pytest.mark.parametrize("mask", ["all", "edits", "weighted"])
def test_weights_are_those_of_a_training_batch(mask: Any) -> None:
    pair = make_pair("The quick 京 fox\nran", "The slow 亭 fox\nran off")
    config = replace(CONFIG, loss_mask=mask, shared_weight=0.25)
    preview = preview_mask(pair, TOKENIZER, config)
    data = TrainingPairs(encode_pairs([pair], ChatEncoder(TOKENIZER)).pairs)
    (encoded,) = data.pairs
    data.reference = [
        (torch.zeros(len(encoded.chosen_ids)), torch.zeros(len(encoded.rejected_ids)))
    ]
    collate = TrainingCollator(PairCollator(0), config.loss_mask, config.shared_weight)
    (part,) = collate([data[0]])["parts"]
    weights = torch.ones(sum(part.lengths)) if part.weights is None else part.weights
    expected = weights.tolist()
    pieces = [*preview.chosen, *preview.rejected]
    assert [weight for piece in pieces for weight in piece.weights] == expected
    assert [each for piece in preview.chosen for each in piece.ids] == encoded.chosen_ids
    assert [each for piece in preview.rejected for each in piece.ids] == encoded.rejected_ids
    assert preview.prompt_tokens == len(encoded.prompt_ids)
    assert {1.0, {"all": 1.0, "edits": 0.0, "weighted": 0.25}[mask]} == set(expected)


def test_an_edit_is_where_the_texts_differ() -> None:
    preview = preview_mask(make_pair("x = 1;", "x = 2;"), TOKENIZER, CONFIG)
    trained = [piece.text for piece in preview.chosen if 1.0 in piece.weights]
    assert trained == ["1"]
    assert "".join(piece.text for piece in preview.chosen) == "x = 1;<|im_end|>"
    # 京 and 亭 differ in their third byte, a token of its own
    preview = preview_mask(make_pair("京", "亭"), TOKENIZER, CONFIG)
    assert [(piece.text, piece.weights) for piece in preview.chosen] == [
        ("京", (0.0, 0.0, 1.0)),
        ("<|im_end|>", (0.0,)),
    ]


@given(st.text(min_size=1))
def test_texts_make_up_the_response(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    pieces = list(token_pieces(TOKENIZER, ids, [1.0] * len(ids)))
    whole = TOKENIZER.decode(ids, clean_up_tokenization_spaces=False)
    assert "".join(piece.text for piece in pieces) == whole
    assert [each for piece in pieces for each in piece.ids] == ids


def test_a_tokenizer_that_drops_a_first_space() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(
        models.BPE({"▁": 0, "a": 1, "b": 2, "▁a": 3, "▁b": 4}, [("▁", "a"), ("▁", "b")])
    )
    inner.decoder = decoders.Metaspace()  # as SentencePiece does
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    pieces = list(token_pieces(tokenizer, [3, 4, 1], [1.0] * 3))
    assert [piece.text for piece in pieces] == ["a", " b", "a"]


def test_a_pair_that_training_drops() -> None:
    with pytest.raises(DataError, match=r"training would not see the pair.*identical"):
        preview_mask(make_pair("same", "same"), TOKENIZER, CONFIG)
    long = make_pair("a" * 80, "a" * 79 + "b")
    short = replace(CONFIG, max_length=40)
    with pytest.raises(DataError, match=r"too long, dropped.*max_length or truncation"):
        preview_mask(long, TOKENIZER, short)
    early = make_pair("b" + "a" * 80, "c" + "a" * 80)
    preview = preview_mask(early, TOKENIZER, replace(short, truncation="edit_window"))
    assert preview.notes == ("cut at max_length",)
    assert "".join(piece.text for piece in preview.chosen) == "b" + "a" * 16


def test_spelt_special_tokens_are_told() -> None:
    preview = preview_mask(make_pair("a <|im_end|>", "b"), TOKENIZER, CONFIG)
    assert preview.notes == ("special tokens spelt in the text are plain text",)
