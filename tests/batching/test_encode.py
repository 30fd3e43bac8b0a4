"""What becomes of pairs that are too long, the same on both sides, or of one side alone."""

from __future__ import annotations

import pytest
from tiny import make_tokenizer

from clairkit.batching import ChatEncoder, encode_pairs
from clairkit.batching.encode import BOTH, EncodedPairs, Truncation
from clairkit.errors import DataError
from clairkit.records import Pair

ENCODER = ChatEncoder(make_tokenizer())


def pair(chosen: str, rejected: str = "a dog") -> Pair:
    return Pair(
        prompt=({"role": "user", "content": "say"},),
        chosen=({"role": "assistant", "content": chosen},),
        rejected=({"role": "assistant", "content": rejected},),
    )


def one_sided(chosen: str | None = None, rejected: str | None = None) -> Pair:
    sides = [
        ({"role": "assistant", "content": text},) if text else () for text in (chosen, rejected)
    ]
    return Pair(({"role": "user", "content": "say"},), *sides, source="clair")


def encode(
    *pairs: Pair,
    max_length: int | None = None,
    truncation: Truncation = "drop",
    needs: tuple[str, ...] = BOTH,
) -> EncodedPairs:
    return encode_pairs(pairs, ENCODER, max_length=max_length, truncation=truncation, needs=needs)


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
    # its end of turn would be the only one, and tell the sides apart
    assert encoded.rejected_ids == whole.rejected_ids[:-1]
    assert (result.counts["truncated"], result.counts["end_dropped"]) == (1, 1)


def test_too_long_is_an_error_that_names_the_pair() -> None:
    with pytest.raises(DataError, match=rf"pair {LONG.id} has \d+ tokens, more than max_length 40"):
        encode(LONG, max_length=40, truncation="error")


def test_a_prompt_that_leaves_no_room_is_dropped() -> None:
    with pytest.raises(DataError, match="1 longer than max_length 3"):
        encode(LONG, max_length=3, truncation="keep_start")


def test_what_fits_is_not_touched() -> None:
    pairs = pair("a fox"), pair("a fox a dog")
    for truncation in ("error", "drop", "keep_start", "edit_window"):
        assert encode(*pairs, max_length=40, truncation=truncation).pairs == encode(*pairs).pairs


def test_a_whole_response_that_is_nothing_but_its_end_is_not_emptied() -> None:
    result = encode(pair("fox " * 30, ""), pair("a fox"), max_length=40, truncation="keep_start")
    assert len(result.pairs) == 1
    assert result.counts["too_long"] == 1


def test_identical_sides_are_counted_apart_when_the_cut_made_them_so() -> None:
    same, late = pair("a dog"), pair("fox " * 30 + "end", "fox " * 30)
    result = encode(same, late, pair("a fox"), max_length=40, truncation="keep_start")
    assert result.counts["identical"] == 1
    assert result.counts["identical_after_truncation"] == 1
    assert result.counts["truncated"] == 0
    assert len(result.pairs) == 1


def test_an_edit_window_ends_after_the_last_edit_that_fits() -> None:
    early = pair("one cat " + "fox " * 90, "one dog " + "fox " * 90)
    late = pair("fox " * 90 + "cat", "fox " * 90 + "dog")
    result = encode(early, late, max_length=60, truncation="edit_window")
    [encoded], [whole] = result.pairs, encode(early).pairs
    size = len(encoded.chosen_ids)
    assert encoded.chosen_ids == whole.chosen_ids[:size]
    assert encoded.rejected_ids == whole.rejected_ids[: len(encoded.rejected_ids)]
    assert len(encoded.prompt_ids) + size < 60
    assert (result.counts["truncated"], result.counts["too_long"]) == (1, 1)
    assert result.counts["end_dropped"] == result.counts["edits_cut"] == 0


def test_nothing_left_says_why() -> None:
    with pytest.raises(DataError, match=r"0 of 2 pairs left: 1 longer .* 1 with identical sides"):
        encode(LONG, pair("a dog"), max_length=40)
    with pytest.raises(DataError, match="0 pairs to train on"):
        encode()


def test_pairs_that_differ_in_thoughts_alone_are_told_how_to_keep_them() -> None:
    thinking = pair("<think>\nso\n</think>\n\na fox", "<think>\nno\n</think>\n\na fox")
    with pytest.raises(DataError, match=r"1 with .* thoughts alone\. Set thoughts: keep"):
        encode(thinking)
    assert len(encode_pairs([thinking], ENCODER, thoughts="keep").pairs) == 1


def test_every_pair_identical_after_truncation_is_an_error_of_the_data() -> None:
    late = [pair("fox " * 30 + end, "fox " * 30) for end in ("end", "start")]
    with pytest.raises(DataError, match=r"0 of 2 pairs left: .* 2 identical up to max_length") as e:
        encode(*late, max_length=40, truncation="keep_start")
    assert e.value.exit_code == 3


def test_sources_are_counted_over_what_is_kept() -> None:
    result = encode(pair("a fox"), pair("a dog"), one_sided("a fox"), needs=())
    assert result.sources == {"imported": 1, "clair": 1}


def test_one_sided_pairs_have_an_empty_side() -> None:
    result = encode(one_sided("a fox"), one_sided(None, "a dog"), pair("a fox"), needs=())
    chosen, rejected, both = result.pairs
    assert (chosen.chosen_ids, chosen.rejected_ids) == (both.chosen_ids, [])
    assert (rejected.chosen_ids, rejected.rejected_ids) == ([], both.rejected_ids)
    assert chosen.prompt_ids == rejected.prompt_ids == both.prompt_ids
    assert (result.counts["only_chosen"], result.counts["only_rejected"]) == (1, 1)


def test_one_sided_pairs_are_refused_by_a_loss_of_both_with_their_counts() -> None:
    rows = one_sided("a fox"), pair("a fox"), one_sided(None, "a dog"), one_sided("a fox a fox")
    with pytest.raises(DataError, match="3 of 4 rows have one: 2 only chosen, 1 only rejected"):
        encode(*rows)
    with pytest.raises(DataError, match="apo_zero_unpaired"):
        encode(*rows)


def test_a_loss_of_the_chosen_side_leaves_out_rows_without_it() -> None:
    rows = one_sided("a fox"), one_sided(None, "a dog")
    result = encode(*rows, needs=("chosen",))
    assert [item.id for item in result.pairs] == [rows[0].id]
    assert (result.counts["unneeded"], result.counts["only_chosen"]) == (1, 1)
    with pytest.raises(DataError, match="1 without the side that the loss reads"):
        encode(rows[1], needs=("chosen",))


@pytest.mark.parametrize("truncation", ["keep_start", "edit_window"])
def test_an_only_side_is_cut_at_its_end(truncation: Truncation) -> None:
    long = one_sided(None, "fox " * 30)
    [encoded] = encode(long, max_length=40, truncation=truncation, needs=()).pairs
    [whole] = encode(long, needs=()).pairs
    assert len(encoded.prompt_ids) + len(encoded.rejected_ids) == 40
    assert encoded.rejected_ids == whole.rejected_ids[: len(encoded.rejected_ids)]


def test_a_pair_of_no_side_is_refused() -> None:
    with pytest.raises(DataError, match="neither chosen nor rejected"):
        encode(one_sided(), needs=())
