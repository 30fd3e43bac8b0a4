"""Every scored token of a packed batch stands after its own history, and after nothing else."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from clairkit.batching.encode import EncodedPair
from clairkit.batching.pack import (
    SHARE_FROM,
    PackedLayout,
    Share,
    Tree,
    pack_pairs,
    packed_tokens,
    shared_inputs,
)

ids = st.integers(3, 6)  # few, so that responses often begin alike
sides = st.lists(ids, max_size=8)


@st.composite
def encoded_pairs(draw: st.DrawFn) -> list[EncodedPair]:
    pairs = []
    for number in range(draw(st.integers(1, 4))):
        chosen, rejected = draw(sides), draw(sides)
        prompt = draw(st.lists(ids, min_size=1, max_size=SHARE_FROM + 4))
        pairs.append(EncodedPair(str(number), prompt, chosen or [7], rejected))
        if draw(st.booleans()):
            pairs.append(EncodedPair(f"{number}'", prompt, [], rejected or [7]))
    return pairs


def histories(layout: PackedLayout, tokens: list[int]) -> list[list[int]]:
    """Return the tokens that each position sees, itself the last, from the layout's words."""
    result = []
    for tree in layout.trees:
        everything = tokens[tree.start : tree.start + tree.length]
        prefix = everything[: tree.prefix]
        chosen = everything[tree.prefix : tree.prefix + tree.chosen]
        rejected = everything[tree.prefix + tree.chosen :]
        result += [prefix[: end + 1] for end in range(len(prefix))]
        for branch in (chosen, rejected):
            result += [prefix + branch[: end + 1] for end in range(len(branch))]
    return result


@given(encoded_pairs(), st.sampled_from([True, False, "auto"]))
def test_each_response_token_is_predicted_from_its_history(
    pairs: list[EncodedPair], share: Share
) -> None:
    model, side_index, lengths = pack_pairs(pairs, share)
    tokens, layout = model["input_ids"][0].tolist(), model["layout"]
    seen = histories(layout, tokens)
    assert layout.length == len(tokens) == sum(packed_tokens(pair, share) for pair in pairs)
    assert model["position_ids"][0].tolist() == [len(history) - 1 for history in seen]
    sequences = [(pair.prompt_ids, pair.chosen_ids) for pair in pairs]
    sequences += [(pair.prompt_ids, pair.rejected_ids) for pair in pairs]
    assert lengths == [len(response) for _, response in sequences]
    places = side_index.split(lengths)
    for (prompt, response), where in zip(sequences, places, strict=True):
        assert model["targets"][where].tolist() == response
        for step, position in enumerate(model["scored"][where].tolist()):
            assert seen[position] == prompt + response[:step]
    # every scored token is read, and no position is scored more than twice
    assert sorted(set(side_index.tolist())) == list(range(len(model["scored"])))
    assert int(torch.bincount(model["scored"]).max()) <= 2


def test_a_shared_beginning_stands_once() -> None:
    pair = EncodedPair("a", [1, 2], [3, 4, 5], [3, 4, 6, 7])
    model, side_index, lengths = pack_pairs([pair], share=True)
    assert model["input_ids"].tolist() == [[1, 2, 3, 4, 6]]
    assert model["position_ids"].tolist() == [[0, 1, 2, 3, 4]]
    assert model["layout"].trees == (Tree(0, 4, 0, 1),)
    assert model["scored"].tolist() == [1, 2, 3, 3, 4]
    assert model["targets"].tolist() == [3, 4, 5, 6, 7]
    assert side_index.tolist() == [0, 1, 2, 0, 1, 3, 4]
    assert lengths == [3, 4]


def test_one_response_may_be_the_beginning_of_the_other() -> None:
    pair = EncodedPair("a", [1, 2], [3, 4], [3, 4, 5])
    model, side_index, _ = pack_pairs([pair], share=True)
    assert model["input_ids"].tolist() == [[1, 2, 3, 4]]
    assert model["layout"].trees == (Tree(0, 3, 0, 1),)
    assert model["scored"].tolist() == [1, 2, 3]
    assert side_index.tolist() == [0, 1, 0, 1, 2]


def test_auto_shares_from_a_length_on() -> None:
    short = EncodedPair("a", [3] * (SHARE_FROM - 1), [4, 5], [6, 7])
    long = EncodedPair("b", [3] * SHARE_FROM, [4, 5], [6, 7])
    assert [shared_inputs(pair) for pair in (short, long)] == [SHARE_FROM - 1, SHARE_FROM]
    assert packed_tokens(short, "auto") == packed_tokens(short, False) == 2 * SHARE_FROM
    assert packed_tokens(long, "auto") == packed_tokens(long, True) == SHARE_FROM + 2
    layout = pack_pairs([short, long], "auto").model["layout"]
    assert layout.trees[2:] == (Tree(2 * SHARE_FROM, SHARE_FROM, 1, 1),)
    assert layout.trees[0] == Tree(0, SHARE_FROM)
