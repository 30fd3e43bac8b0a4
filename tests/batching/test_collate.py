"""Parts of a batch: both forms give each sequence's tokens in the same order."""

from __future__ import annotations

import dataclasses

import torch
from hypothesis import given
from hypothesis import strategies as st

from clairkit.batching.collate import Form, PairCollator, padded_tensors
from clairkit.batching.encode import EncodedPair
from clairkit.batching.pack import Share

ids = st.integers(1, 9)
prompts = st.lists(ids, min_size=1, max_size=20)
sides = st.lists(ids, min_size=1, max_size=9)
some_pairs = st.lists(
    st.builds(EncodedPair, st.text(max_size=1), prompts, sides, sides)
    | st.builds(EncodedPair, st.text(max_size=1), prompts, sides, st.just([]))
    | st.builds(EncodedPair, st.text(max_size=1), prompts, st.just([]), sides),
    min_size=1,
    max_size=7,
)
forms = st.sampled_from(["packed", "padded"])
shares = st.sampled_from([True, False, "auto"])


@given(some_pairs, forms, shares, st.none() | st.integers(1, 90), st.none() | st.integers(1, 9))
def test_parts_hold_every_pair_once_within_the_budget(
    pairs: list[EncodedPair], form: Form, share: Share, tokens: int | None, count: int | None
) -> None:
    collate = PairCollator(0, form, share, tokens, count)
    parts = collate(pairs)
    assert sorted(i for part in parts for i in part.index) == list(range(len(pairs)))
    assert [part.index for part in parts] == collate.split(pairs)
    if count is not None:
        assert len(parts) == min(count, len(pairs))
    for part in parts:
        members = [pairs[i] for i in part.index]
        size = part.model["input_ids"].numel()
        assert size == collate.size(members[0]) or len(members) > 1
        if tokens is not None and count is None:
            assert size <= tokens or len(members) == 1
        responses = [pair.chosen_ids for pair in members]
        responses += [pair.rejected_ids for pair in members]
        assert part.lengths == list(map(len, responses))
        found = part.model["targets"].flatten()[part.side_index]
        assert part.side_index.dtype == torch.int64
        assert found.tolist() == [token for response in responses for token in response]


@given(some_pairs, forms)
def test_which_pairs_go_together_depends_on_their_lengths_alone(
    pairs: list[EncodedPair], form: Form
) -> None:
    collate = PairCollator(0, form, False, tokens=60)
    others = [
        dataclasses.replace(
            pair,
            prompt_ids=[token + 1 for token in pair.prompt_ids],
            rejected_ids=[token + 10 for token in pair.rejected_ids],
        )
        for pair in pairs
    ]
    assert collate.split(others) == collate.split(pairs)


def test_a_padded_batch_holds_chosen_then_rejected_and_predicts_responses_alone() -> None:
    pairs = [EncodedPair("a", [1, 2], [3, 4], [5]), EncodedPair("b", [6], [7], [8, 9, 10])]
    batch = {key: value.tolist() for key, value in padded_tensors(pairs, 0).items()}
    assert batch["input_ids"] == [[1, 2, 3, 4], [6, 7, 0, 0], [1, 2, 5, 0], [6, 8, 9, 10]]
    assert batch["attention_mask"] == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    ignored = -100
    assert batch["targets"] == [
        [ignored, 3, 4, ignored],
        [7, ignored, ignored, ignored],
        [ignored, 5, ignored, ignored],
        [8, 9, 10, ignored],
    ]
