"""Edited tokens against a plain alignment, and the weights made of them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clairkit.batching import EncodedPair
from clairkit.choices import LossMask
from clairkit.scoring import Alignment, align
from clairkit.training.masks import edited_tokens, mask_counts, weights_of

IDS = st.lists(st.integers(0, 5), max_size=25)


def common_length(first: list[int], second: list[int]) -> int:
    """The length of a longest common subsequence, by the textbook table."""
    row = [0] * (len(second) + 1)
    for ours in first:
        before = row
        row = [0]
        for place, theirs in enumerate(second):
            best = before[place] + 1 if ours == theirs else max(before[place + 1], row[-1])
            row.append(best)
    return row[-1]


def edited(chosen: list[int], rejected: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    return edited_tokens(EncodedPair("pair", [9], chosen, rejected))


@given(IDS, IDS)
def test_shared_tokens_are_a_longest_common_subsequence(
    chosen: list[int], rejected: list[int]
) -> None:
    marks = edited(chosen, rejected)
    shared = [
        [token for token, edited in zip(ids, side.tolist(), strict=True) if not edited]
        for ids, side in zip((chosen, rejected), marks, strict=True)
    ]
    assert shared[0] == shared[1]
    assert len(shared[0]) == common_length(chosen, rejected)


@given(IDS, IDS)
def test_the_sides_may_be_exchanged(chosen: list[int], rejected: list[int]) -> None:
    ours = edited(chosen, rejected)
    theirs = edited(rejected, chosen)
    assert torch.equal(ours[0], theirs[1])
    assert torch.equal(ours[1], theirs[0])


def test_a_replacement_marks_both_sides_and_a_deletion_one() -> None:
    chosen, rejected = edited([1, 2, 3, 4], [1, 7, 8, 3, 9, 4])
    assert chosen.tolist() == [False, True, False, False]
    assert rejected.tolist() == [False, True, True, False, True, False]
    assert chosen.dtype == torch.bool


def test_weights_by_mode() -> None:
    marks = edited([1, 2, 3], [1, 3])
    expected: dict[LossMask, tuple[list[float], list[float]]] = {
        "all": ([1, 1, 1], [1, 1]),
        "edits": ([0, 1, 0], [0, 0]),
        "weighted": ([0.25, 1, 0.25], [0.25, 0.25]),
    }
    for mode, sides in expected.items():
        weights = weights_of(mode, 0.25, marks)
        assert tuple(side.tolist() for side in weights) == sides
        assert {side.dtype for side in weights} == {torch.float32}


def test_of_an_only_side_every_token_is_edited() -> None:
    chosen, rejected = edited([4, 5], [])
    assert chosen.tolist() == [True, True]
    assert rejected.shape == (0,)


def test_sides_without_an_edit_are_counted() -> None:
    pairs = [
        EncodedPair("insertion", [9], [1, 2, 3], [1, 3]),
        EncodedPair("deletion", [9], [1, 3], [1, 2, 3]),
        EncodedPair("replacement", [9], [1, 2], [1, 4]),
        EncodedPair("one side", [9], [], [1, 4]),
    ]
    assert mask_counts(pairs) == {
        "tokens": 16,
        "edited": 6,
        "no_edit_chosen": 1,
        "no_edit_rejected": 1,
        "approximate": 0,
    }
    assert sum(int(side.sum()) for pair in pairs for side in edited_tokens(pair)) == 6


def test_long_sides_share_all_but_their_edits() -> None:
    """2 x 24k tokens, as the long recipe has them: beyond what is aligned exactly."""
    generator = random.Random(3)
    rejected = [generator.randrange(32_000) for _ in range(24_000)]
    places = sorted(generator.sample(range(0, 24_000, 10), 30))
    chosen = list(rejected)
    for place in places:
        chosen[place] = 40_000 + place
    marks = edited(chosen, rejected)
    for side in marks:
        assert side.nonzero().flatten().tolist() == places


def test_a_pair_is_aligned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(rejected: list[int], chosen: list[int]) -> Alignment:
        calls.append(rejected)
        return align(rejected, chosen)

    monkeypatch.setattr("clairkit.batching.encode.align", counted)
    pair = EncodedPair("pair", [9], [1, 2, 3], [1, 3])
    mask_counts([pair])
    assert all(map(torch.equal, edited_tokens(pair), edited_tokens(pair)))
    assert len(calls) == 1
    assert replace(pair, chosen_ids=[1, 3]).alignment.spans == ()
