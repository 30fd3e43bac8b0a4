"""Cut encoded pairs into parts: what one forward of the model takes, packed or padded.

Shapes: B pairs of a part; padded: 2B sequences (chosen, then rejected), L the longest; packed: see
`clairkit.batching.pack`. S response tokens of all sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self

import torch
from torch import Tensor

from clairkit.batching.encode import EncodedPair
from clairkit.batching.pack import ModelInputs, Share, pack_pairs, packed_tokens
from clairkit.records.json_types import JsonObject

IGNORED = -100
Form = Literal["packed", "padded"]


def fill_parts(sizes: Sequence[int], tokens: int | None) -> list[list[int]]:
    """Put items into few parts of at most `tokens` tokens: the largest first, where it fits first.

    An item of more than `tokens` tokens is a part of its own. The members of a part are in
    ascending order; the first part holds the largest item.
    """
    if tokens is None:
        return [list(range(len(sizes)))]
    parts: list[list[int]] = []
    room: list[int] = []
    for item in _largest_first(sizes):
        place = next((i for i, left in enumerate(room) if sizes[item] <= left), len(parts))
        if place == len(parts):
            parts.append([])
            room.append(tokens)
        parts[place].append(item)
        room[place] -= sizes[item]
    return [sorted(part) for part in parts]


def balance_parts(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Put items into exactly min(count, items) parts: the largest first, where the least is."""
    parts: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    load = [0] * len(parts)
    for item in _largest_first(sizes):
        # an empty part first, so that none is left without an item
        place = min(range(len(parts)), key=lambda i: (bool(parts[i]), load[i], i))
        parts[place].append(item)
        load[place] += sizes[item]
    return [sorted(part) for part in parts]


def fill_rows(lengths: Sequence[int], tokens: int | None) -> list[list[int]]:
    """As `fill_parts` for padded parts, in which every item is as long as the longest."""
    if tokens is None:
        return [list(range(len(lengths)))]
    return [sorted(part) for part in _runs(lengths, tokens)]


def balance_rows(lengths: Sequence[int], count: int) -> list[list[int]]:
    """As `balance_parts` for padded parts: the largest part is as small as it can be."""
    count = min(count, len(lengths))
    all_in_one = len(lengths) * max(lengths)
    tokens = _least(lambda budget: len(_runs(lengths, budget)) <= count, all_in_one)
    parts = _runs(lengths, tokens)
    while len(parts) < count:  # halve the largest that can be
        place = max(
            range(len(parts)),
            key=lambda i: (len(parts[i]) > 1, len(parts[i]) * lengths[parts[i][0]]),
        )
        part = parts[place]
        parts[place : place + 1] = [part[: len(part) // 2], part[len(part) // 2 :]]
    return [sorted(part) for part in parts]


def _runs(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Cut the items, longest first, into runs; a run's first item says how long all are."""
    parts: list[list[int]] = []
    for item in _largest_first(lengths):
        if not parts or (len(parts[-1]) + 1) * lengths[parts[-1][0]] > tokens:
            parts.append([])
        parts[-1].append(item)
    return parts


def _least(holds: Callable[[int], bool], most: int) -> int:
    """Return the least number up to `most` for which `holds`, which stays true once it is."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _largest_first(sizes: Sequence[int]) -> list[int]:
    return sorted(range(len(sizes)), key=lambda item: (-sizes[item], item))


@dataclass(frozen=True)
class Part:
    """One forward's worth of a batch."""

    model: ModelInputs
    side_index: Tensor
    """[S] int64: where in the flattened log-probs each response token lies, sequence after
    sequence: chosen of each pair, then rejected of each pair."""
    lengths: list[int]
    """Response tokens of each of the 2B sequences in that order; 0 where a side is missing."""
    index: list[int]
    """Which pairs of the batch these are."""

    @property
    def input_tokens(self) -> int:
        """Tokens that the model reads, padding included."""
        return self.model["input_ids"].numel()

    @property
    def scored_tokens(self) -> int:
        """Tokens that have a target; a packed sequence predicts a common one once."""
        scored = self.model.get("scored", self.side_index)
        return len(scored)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the part with its tensors on a device, as data loaders ask for it."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the part in page-locked memory, from which copies to a GPU need not wait."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        model = {
            name: change(value) if isinstance(value, Tensor) else value
            for name, value in self.model.items()
        }
        own: JsonObject = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = {name: change(value) for name, value in own.items() if isinstance(value, Tensor)}
        return type(self)(**{**own, **changed, "model": model})


@dataclass(frozen=True)
class PairCollator:
    """Makes the parts of a batch.

    The sum of a part's log-probs at a sequence's `side_index` is the log-prob of its response.
    Which pairs go together depends on nothing but their lengths.
    """

    pad_id: int
    """What fills the padded form."""
    form: Form = "padded"
    """Packed: no padding, for models that `packing_of` admits."""
    share_prompt: Share = "auto"
    """Packed: whether what both sides begin with stands once; auto: where it pays."""
    tokens: int | None = None
    """Most tokens of a part, padding included; a longer pair is a part of its own."""
    parts: int | None = None
    """Make min(parts, pairs) parts, whatever `tokens` says: for processes that have to run the
    same number of forwards."""

    def __call__(self, pairs: Sequence[EncodedPair]) -> list[Part]:
        """Return the parts; each pair is in one of them."""
        return [self.part(pairs, index) for index in self.split(pairs)]

    def split(self, pairs: Sequence[EncodedPair]) -> list[list[int]]:
        """Return which pairs form each part, without making it."""
        sizes = [self.size(pair) for pair in pairs]
        if self.form == "packed":
            if self.parts is not None:
                return balance_parts(sizes, self.parts)
            return fill_parts(sizes, self.tokens)
        if self.parts is not None:
            return balance_rows(sizes, self.parts)
        return fill_rows(sizes, self.tokens)

    def size(self, pair: EncodedPair) -> int:
        """Return the tokens of a part that holds this pair alone."""
        if self.form == "packed":
            return packed_tokens(pair, self.share_prompt)
        longest = max(len(pair.chosen_ids), len(pair.rejected_ids))
        return 2 * (len(pair.prompt_ids) + longest)

    def part(self, pairs: Sequence[EncodedPair], index: list[int]) -> Part:
        """Return the part of the pairs at `index`."""
        members = [pairs[i] for i in index]
        if self.form == "packed":
            model, side_index, lengths = pack_pairs(members, self.share_prompt)
        else:
            model = padded_tensors(members, self.pad_id)
            side_index = (model["targets"].flatten() != IGNORED).nonzero()[:, 0]
            lengths = [len(pair.chosen_ids) for pair in members]
            lengths += [len(pair.rejected_ids) for pair in members]
        return Part(model=model, side_index=side_index, lengths=lengths, index=index)


def padded_tensors(pairs: Sequence[EncodedPair], pad_id: int) -> ModelInputs:
    """Return `input_ids`, `attention_mask`, `targets`, each [2B, L], right-padded.

    `targets[n, t]` is the token that position t predicts: the next one where that belongs to the
    response, else -100.
    """
    sequences = [(pair.prompt_ids, pair.chosen_ids) for pair in pairs]
    sequences += [(pair.prompt_ids, pair.rejected_ids) for pair in pairs]
    length = max(len(prompt) + len(response) for prompt, response in sequences)
    shape = (len(sequences), length)
    input_ids = torch.full(shape, pad_id)
    attention_mask = torch.zeros(shape, dtype=torch.int64)
    targets = torch.full(shape, IGNORED)
    for row, (prompt, response) in enumerate(sequences):
        end = len(prompt) + len(response)
        input_ids[row, :end] = torch.tensor(prompt + response)
        attention_mask[row, :end] = 1
        targets[row, len(prompt) - 1 : end - 1] = torch.tensor(response, dtype=torch.int64)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "targets": targets}
