"""Pick the tokens that count: ignored ones go before the first product, and have zeros after."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.kernels.inputs import all_counted, check_targets
from clairkit.kernels.options import IGNORED


@dataclass(frozen=True)
class Counted:
    """The n of N tokens that have a target."""

    places: Tensor  # [n] int64, ascending
    tokens: int  # N

    @classmethod
    def of(cls, targets: Tensor, vocabulary: int) -> Counted:
        """Find them.

        Raises:
            ValueError: a target is neither ignored nor in the vocabulary.
        """
        if all_counted(targets, vocabulary):
            places = torch.arange(len(targets), device=targets.device)
        else:
            check_targets(targets, vocabulary)
            places = (targets != IGNORED).nonzero()[:, 0]
        return cls(places, len(targets))

    @classmethod
    def again(cls, places: Tensor, tokens: int, *, padded: bool) -> Counted:
        """Take what `of` has found, perhaps padded."""
        return cls(places[places >= 0] if padded else places, tokens)

    def padded(self) -> Tensor:
        """Return the places filled up with -1 to N, for a compiler: no shape goes by a value."""
        return self.fill(self.places, -1)

    def fill(self, values: Tensor, value: int) -> Tensor:
        """Return values [n, ...] filled up to N rows."""
        filled = values.new_full((self.tokens, *values.shape[1:]), value)
        filled[: len(values)] = values
        return filled

    def pick(self, values: Tensor) -> Tensor:
        """Return the rows [n, ...] that count; the same tensor if all do."""
        return values if len(self.places) == self.tokens else values[self.places]

    def spread(self, values: Tensor) -> Tensor:
        """Return values [n, ...] with zeros for ignored tokens; the same tensor if none is."""
        if len(self.places) == self.tokens:
            return values
        zeros = values.new_zeros(self.tokens, *values.shape[1:])
        return zeros.index_copy_(0, self.places, values)
