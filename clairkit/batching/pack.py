"""Pack pairs into one sequence without padding, in which a common beginning stands once.

Shapes: T tokens of the sequence, M scored tokens, S response tokens of both sides.

A *tree* is a prefix and up to two branches that go on from it. The prefix is the prompt and what
both responses begin with. The last token of a response is predicted, and predicts nothing: it is a
target and no input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Required, TypedDict

import torch
from torch import Tensor

from clairkit.batching.encode import EncodedPair

Share = bool | Literal["auto"]

# From how many common tokens on a pair is a tree under "auto": below, the tree's extra attention
# call costs more than its tokens. Measured on a CPU, see docs/log.md.
SHARE_FROM = 16


class Tree(NamedTuple):
    """Where a tree lies: its first token, and the lengths of its parts, one after the other."""

    start: int
    prefix: int
    chosen: int = 0
    rejected: int = 0

    @property
    def branches(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First token and length of each branch."""
        chosen = self.start + self.prefix
        return (chosen, self.chosen), (chosen + self.chosen, self.rejected)

    @property
    def length(self) -> int:
        """Tokens of the tree."""
        return self.prefix + self.chosen + self.rejected


@dataclass(frozen=True)
class PackedLayout:
    """Which tokens of a packed sequence attend to which, in integers of the host.

    A token attends to those before it in its own part and, from a branch, to the whole prefix.
    `cache` keeps what attention makes of the layout, for all layers of a forward.
    """

    trees: tuple[Tree, ...]
    cache: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def length(self) -> int:
        """Tokens of the sequence, T."""
        return sum(tree.length for tree in self.trees)

    def position_ids(self) -> Tensor:
        """Return [1, T] int64: both branches of a tree go on from its prefix."""
        positions: list[int] = []
        for _, prefix, *branches in self.trees:
            positions.extend(range(prefix))
            for length in branches:
                positions.extend(range(prefix, prefix + length))
        return torch.tensor([positions])


class ModelInputs(TypedDict, total=False):
    """What a model's extended forward takes, see `clairkit.logprobs.head.attach_logps`.

    Padded: ids, mask and targets, each [2B, L]. Packed: ids and positions [1, T], the layout, the
    scored places and their targets [M].
    """

    input_ids: Required[Tensor]
    targets: Required[Tensor]
    attention_mask: Tensor
    position_ids: Tensor
    layout: PackedLayout
    scored: Tensor


class Packed(NamedTuple):
    """A packed batch; `side_index` and `lengths` as `Part` has them."""

    model: ModelInputs
    side_index: Tensor
    lengths: list[int]


def shared_inputs(pair: EncodedPair) -> int:
    """Return how many input tokens both sides begin with; 0 for a pair of one side."""
    if not pair.chosen_ids or not pair.rejected_ids:
        return 0
    shortest = min(len(pair.chosen_ids), len(pair.rejected_ids)) - 1
    return len(pair.prompt_ids) + min(_common(pair), shortest)


def shares(pair: EncodedPair, share: Share) -> bool:
    """Tell whether the pair becomes one tree with two branches."""
    shared = shared_inputs(pair)
    return shared > 0 and (shared >= SHARE_FROM if share == "auto" else share)


def packed_tokens(pair: EncodedPair, share: Share) -> int:
    """Return how many tokens the pair takes in a packed sequence."""
    sides = [side for side in (pair.chosen_ids, pair.rejected_ids) if side]
    tokens = sum(len(pair.prompt_ids) + len(side) - 1 for side in sides)
    return tokens - shared_inputs(pair) if shares(pair, share) else tokens


def pack_pairs(pairs: Sequence[EncodedPair], share: Share) -> Packed:
    """Return the packed form of a batch.

    Args:
        pairs: each with a response on at least one side.
        share: whether common beginnings stand once; "auto": from `SHARE_FROM` tokens on.
    """
    writer = _Writer()
    sides: list[list[list[int]]] = [[], []]  # of each side, of each pair: places among the scored
    for pair in pairs:
        responses = pair.chosen_ids, pair.rejected_ids
        if shares(pair, share):
            places = writer.tree(pair.prompt_ids, *responses, _common(pair))
        else:
            places = [writer.chain(pair.prompt_ids, response) for response in responses]
        for side, places_of_side in zip(sides, places, strict=True):
            side.append(places_of_side)
    every = [places for side in sides for places in side]
    layout = PackedLayout(tuple(writer.trees))
    model: ModelInputs = {
        "input_ids": torch.tensor([writer.ids]),
        "position_ids": layout.position_ids(),
        "layout": layout,
        "scored": torch.tensor(writer.scored),
        "targets": torch.tensor(writer.targets),
    }
    side_index = torch.tensor([place for places in every for place in places], dtype=torch.int64)
    return Packed(model, side_index, [len(places) for places in every])


class _Writer:
    """Tokens, trees and scored positions of a sequence that grows tree by tree."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.trees: list[Tree] = []
        self.scored: list[int] = []
        self.targets: list[int] = []

    def chain(self, prompt: list[int], response: list[int]) -> list[int]:
        """Write one side by itself; return where its tokens are among the scored."""
        if not response:
            return []
        start = len(self.ids)
        inputs = prompt + response[:-1]
        self._grow(inputs, [], [])
        first = start + len(prompt) - 1
        return self._score(range(first, first + len(response)), response)

    def tree(
        self, prompt: list[int], chosen: list[int], rejected: list[int], common: int
    ) -> list[list[int]]:
        """Write both sides, their first `common` response tokens once; return as `chain` does."""
        start = len(self.ids)
        kept = min(common, len(chosen) - 1, len(rejected) - 1)  # of them, those that are inputs
        tree = self._grow(prompt + chosen[:kept], chosen[kept:-1], rejected[kept:-1])
        first = start + len(prompt) - 1
        shared = self._score(range(first, first + common), chosen[:common])
        places = []
        for response, (branch, _) in zip((chosen, rejected), tree.branches, strict=True):
            # a position before the branch is in the prefix
            steps = range(first + common, first + len(response))
            end = start + tree.prefix
            positions = [step if step < end else branch + step - end for step in steps]
            places.append(shared + self._score(positions, response[common:]))
        return places

    def _grow(self, prefix: list[int], chosen: list[int], rejected: list[int]) -> Tree:
        tree = Tree(len(self.ids), len(prefix), len(chosen), len(rejected))
        self.trees.append(tree)
        self.ids += prefix + chosen + rejected
        return tree

    def _score(self, positions: Sequence[int], targets: list[int]) -> list[int]:
        start = len(self.scored)
        self.scored.extend(positions)
        self.targets += targets
        return list(range(start, len(self.scored)))


def _common(pair: EncodedPair) -> int:
    """Return how many tokens both responses begin with."""
    sides = zip(pair.chosen_ids, pair.rejected_ids, strict=False)
    shortest = min(len(pair.chosen_ids), len(pair.rejected_ids))
    return next((place for place, (a, b) in enumerate(sides) if a != b), shortest)
