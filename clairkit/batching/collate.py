"""Encoded pairs to one padded batch: B chosen sequences, then B rejected ones.

Shapes: B pairs, L the longest sequence; every tensor is right-padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clairkit.batching.encode import EncodedPair

IGNORED = -100


@dataclass(frozen=True)
class PairCollator:
    """Makes the tensors of a batch.

    `targets[n, t]` is the token that position t predicts: the next one where that belongs to the
    response, else -100. So the sum of its log-probs is the response's log-prob.
    """

    pad_id: int

    def __call__(self, pairs: Sequence[EncodedPair]) -> dict[str, Tensor]:
        """Return `input_ids`, `attention_mask`, `targets`, each [2B, L]."""
        sequences = [(pair.prompt_ids, pair.chosen_ids) for pair in pairs]
        sequences += [(pair.prompt_ids, pair.rejected_ids) for pair in pairs]
        length = max(len(prompt) + len(response) for prompt, response in sequences)
        shape = (len(sequences), length)
        input_ids = torch.full(shape, self.pad_id)
        attention_mask = torch.zeros(shape, dtype=torch.int64)
        targets = torch.full(shape, IGNORED)
        for row, (prompt, response) in enumerate(sequences):
            end = len(prompt) + len(response)
            input_ids[row, :end] = torch.tensor(prompt + response)
            attention_mask[row, :end] = 1
            targets[row, len(prompt) - 1 : end - 1] = torch.tensor(response)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "targets": targets}
