"""Reference log-probs of every pair, per token, computed once before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from clairkit.batching import EncodedPair
from clairkit.batching.collate import IGNORED, PairCollator


@torch.no_grad()
def reference_logps(
    model: Any,
    pairs: Sequence[EncodedPair],
    collate: PairCollator,
    batch_size: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[tuple[Tensor, Tensor]]:
    """Return (chosen, rejected) per-token log-probs of each pair under the model as it is now.

    Args:
        model: with `attach_logps` done; its dropout, if any, must be off.
        pairs: the pairs; those of like length are computed together.
        collate: makes their batches.
        batch_size: pairs at once.
        progress: called with the number of pairs done.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(pairs)), key=lambda i: _length(pairs[i]), reverse=True)
    result: list[tuple[Tensor, Tensor] | None] = [None] * len(pairs)
    was_training = model.training
    model.eval()
    for start in range(0, len(order), batch_size):
        index = order[start : start + batch_size]
        batch = collate([pairs[i] for i in index])
        logps = model(**{key: value.to(device) for key, value in batch.items()}).cpu()
        rows = [row[target != IGNORED] for row, target in zip(logps, batch["targets"], strict=True)]
        for i, chosen, rejected in zip(index, rows[: len(index)], rows[len(index) :], strict=True):
            result[i] = chosen, rejected
        progress(start + len(index))
    model.train(was_training)
    return [entry for entry in result if entry is not None]


def _length(pair: EncodedPair) -> int:
    return len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))
