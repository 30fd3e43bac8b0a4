"""What becomes of pairs that are too long, the same on both sides, or can't be rendered."""

from __future__ import annotations

import pytest
from tiny import make_tokenizer

from clairkit.batching import ChatEncoder, encode_pairs
from clairkit.batching.collate import PairCollator
from clairkit.batching.encode import EncodedPair, EncodedPairs, Truncation
from clairkit.errors import DataError
from clairkit.records import Pair

ENCODER = ChatEncoder(make_tokenizer())


def pair(chosen: str, rejected: str = "a dog") -> Pair:
    return Pair(
        prompt=({"role": "user", "content": "say"},),
        chosen=({"role": "assistant", "content": chosen},),
        rejected=({"role": "assistant", "content": rejected},),
    )


def encode(
    *pairs: Pair, max_length: int | None = None, truncation: Truncation = "drop"
) -> EncodedPairs:
    return encode_pairs(pairs, ENCODER, max_length=max_length, truncation=truncation)


LONG = pair("fox " * 30)


def test_both_sides_share_the_prompt_and_end_their_turn() -> None:
    [encoded] = encode(pair("a fox")).pairs
    eos = ENCODER.tokenizer.eos_token_id
    assert encoded.prompt_ids == ENCODER.prompt([{"role": "user", "content": "say"}])
    assert encoded.chosen_ids[-1] == encoded.rejected_ids[-1] == eos
    assert encoded.id == pair("a fox").id


def test_too_long_is_dropped_and_counted() -> None:
    result = encode(LONG, pair("a fox"), max_length=40)
    assert [item.id for item in result.pairs] == [pair("a fox").id]
    assert result.counts["too_long"] == 1
    assert result.counts["rows"] == 2


def test_too_long_is_cut_at_its_end() -> None:
    result = encode(LONG, max_length=40, truncation="keep_start")
    [encoded] = result.pairs
    [whole] = encode(LONG).pairs
    assert len(encoded.prompt_ids) + len(encoded.chosen_ids) == 40
    assert encoded.chosen_ids == whole.chosen_ids[: len(encoded.chosen_ids)]
    assert encoded.rejected_ids == whole.rejected_ids
    assert result.counts["truncated"] == 1


def test_too_long_is_an_error_that_names_the_pair() -> None:
    with pytest.raises(DataError, match=rf"pair {LONG.id} has \d+ tokens, more than max_length 40"):
        encode(LONG, max_length=40, truncation="error")


def test_a_prompt_that_leaves_no_room_is_dropped() -> None:
    with pytest.raises(DataError, match="1 longer than max_length 3"):
        encode(LONG, max_length=3, truncation="keep_start")


def test_identical_sides_are_dropped_also_when_only_the_cut_makes_them_so() -> None:
    same, late = pair("a dog"), pair("fox " * 30 + "end", "fox " * 30)
    result = encode(same, late, pair("a fox"), max_length=40, truncation="keep_start")
    assert result.counts["identical"] == 2
    assert len(result.pairs) == 1


def test_nothing_left_says_why() -> None:
    with pytest.raises(DataError, match=r"0 of 2 pairs left: 1 longer .* 1 with identical sides"):
        encode(LONG, pair("a dog"), max_length=40)
    with pytest.raises(DataError, match="0 pairs to train on"):
        encode()


def test_a_batch_holds_chosen_then_rejected_and_predicts_responses_alone() -> None:
    pairs = [EncodedPair("a", [1, 2], [3, 4], [5]), EncodedPair("b", [6], [7], [8, 9, 10])]
    batch = {key: value.tolist() for key, value in PairCollator(0)(pairs).items()}
    assert batch["input_ids"] == [[1, 2, 3, 4], [6, 7, 0, 0], [1, 2, 5, 0], [6, 8, 9, 10]]
    assert batch["attention_mask"] == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    ignored = -100
    assert batch["targets"] == [
        [ignored, 3, 4, ignored],
        [7, ignored, ignored, ignored],
        [ignored, 5, ignored, ignored],
        [8, 9, 10, ignored],
    ]
