"""Keep keys and values of rows in slots, so that a row may leave or come while others go on.

A row's tokens stand from column 0 of its slot on, whatever the others' lengths; what lies behind
its last token is masked. No column is added in front, and none is moved when a row comes or ends:
that is what makes a row's sums, and with them its text, independent of its neighbours.

Shapes: B rows, H heads of keys, W columns, D dimensions of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

_COLUMNS = 64
"""Columns are given out in multiples of this: sums over them are then made in the same order."""


class _Places:
    """Where the rows of a pass write: shared by all layers."""

    def __init__(self) -> None:
        self.rows = torch.empty(0, dtype=torch.long)  # [B]
        self.ends = torch.empty(0, dtype=torch.long)  # [B], the column of each row's new token
        self.width = 0


class SlotLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped
    """One layer's keys and values [slots, H, room, D]."""

    def __init__(self, like: DynamicLayer, slots: int, places: _Places) -> None:
        super().__init__()
        self.lazy_initialization(like.keys, like.values)
        self._places = places
        self.keys = self._empty(like.keys, slots, 0)
        self.values = self._empty(like.values, slots, 0)

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write one new token a row, and return what all rows attend to."""
        places = self._places
        self.keys[places.rows, :, places.ends] = key_states[:, :, 0]
        self.values[places.rows, :, places.ends] = value_states[:, :, 0]
        count = len(key_states)
        return self.keys[:count, :, : places.width], self.values[:count, :, : places.width]

    def get_seq_length(self) -> int:
        """Return the columns before the new token, as if it stood in the last one."""
        return max(0, self._places.width - 1)

    def put(self, slot: int, layer: DynamicLayer, row: int, tokens: int) -> None:
        """Copy the first tokens of one row of a prompts' cache into a slot."""
        self.keys[slot, :, :tokens] = layer.keys[row, :, :tokens]
        self.values[slot, :, :tokens] = layer.values[row, :, :tokens]

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy a slot's tokens into another slot."""
        for states in (self.keys, self.values):
            states[target, :, :tokens] = states[source, :, :tokens]

    def widen(self, room: int) -> None:
        """Make room for so many columns."""
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = self._empty(old, len(old), room)
            new[:, :, : old.shape[2]] = old
            setattr(self, name, new)

    @staticmethod
    def _empty(like: Tensor, slots: int, room: int) -> Tensor:
        _, heads, _, size = like.shape
        return like.new_zeros(slots, heads, room, size)  # masked columns must be finite


class Slots(Cache):  # type: ignore[misc]  # transformers is untyped
    """The cache of rows that come and go; the first `count` slots are in use.

    Args:
        first: the cache of some prompt, which says what the layers hold.
        slots: how many rows there may be at once.
    """

    def __init__(self, first: DynamicCache, slots: int) -> None:
        self._places = _Places()
        super().__init__([SlotLayer(layer, slots, self._places) for layer in first.layers])
        self._room = 0
        self.lengths: list[int] = []
        """Tokens of each row, without the one that a pass adds."""

    @property
    def count(self) -> int:
        """Rows in use."""
        return len(self.lengths)

    def put(self, cache: DynamicCache, lengths: Sequence[int]) -> None:
        """Give the next slots to rows whose prompts were run together, padded behind.

        Args:
            cache: of the prompts.
            lengths: tokens of each row that count.
        """
        self._widen(max(lengths))
        for row, tokens in enumerate(lengths):
            for slots, layer in zip(self.layers, cache.layers, strict=True):
                slots.put(self.count, layer, row, tokens)
            self.lengths.append(tokens)

    def free(self, slot: int) -> None:
        """Take a row out; the last row moves into its slot."""
        last = self.lengths.pop()
        if slot < self.count:
            for layer in self.layers:
                layer.move(self.count, slot, last)
            self.lengths[slot] = last

    def next_pass(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Prepare a pass of one more token a row.

        Returns:
            The new tokens' positions [B, 1], and the mask [B, W] of what each row attends to.
        """
        places = self._places
        # one column more than the longest row has: no mask without a masked column
        width = rounded(max(self.lengths) + 2, _COLUMNS)
        self._widen(width)
        places.width = width
        places.rows = torch.arange(self.count, device=device)
        places.ends = torch.tensor(self.lengths, device=device)
        mask = torch.arange(width, device=device) <= places.ends[:, None]
        self.lengths = [length + 1 for length in self.lengths]
        return places.ends[:, None], mask

    def _widen(self, columns: int) -> None:
        if columns > self._room:
            self._room = rounded(max(columns, self._room + self._room // 4), _COLUMNS)
            for layer in self.layers:
                layer.widen(self._room)


def rounded(columns: int, unit: int) -> int:
    """Return the next multiple of `unit`."""
    return -(-columns // unit) * unit


def holds_all_tokens(cache: Any) -> bool:
    """Whether a model keeps keys and values of all tokens and nothing else, in every layer."""
    layers = getattr(cache, "layers", [])
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
