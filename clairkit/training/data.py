"""What the trainer iterates: encoded pairs with their reference log-probs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from clairkit.batching import EncodedPair
from clairkit.batching.collate import PairCollator


@dataclass(frozen=True)
class TrainingPair:
    """A pair with its per-token reference log-probs."""

    pair: EncodedPair
    ref_chosen: Tensor  # [len(chosen_ids)] float32
    ref_rejected: Tensor  # [len(rejected_ids)] float32


class TrainingPairs(Dataset[TrainingPair]):
    """The pairs in file order; the reference is filled in once, before training."""

    def __init__(self, pairs: Sequence[EncodedPair]) -> None:
        self.pairs = list(pairs)
        self.reference: list[tuple[Tensor, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> TrainingPair:
        if self.reference is None:
            raise RuntimeError("compute_references() comes before the first batch")
        return TrainingPair(self.pairs[index], *self.reference[index])


@dataclass(frozen=True)
class TrainingCollator:
    """`PairCollator`'s tensors with the reference sums and response lengths, each [B]."""

    collate: PairCollator

    def __call__(self, items: Sequence[TrainingPair]) -> dict[str, Tensor | list[str]]:
        """Return one batch; `ids` names its pairs for error messages."""
        batch: dict[str, Tensor | list[str]] = {**self.collate([item.pair for item in items])}
        batch["ref_chosen_logps"] = torch.stack([item.ref_chosen.sum() for item in items])
        batch["ref_rejected_logps"] = torch.stack([item.ref_rejected.sum() for item in items])
        for side in ("chosen", "rejected"):
            lengths = [len(getattr(item.pair, f"{side}_ids")) for item in items]
            batch[f"{side}_lengths"] = torch.tensor(lengths)
        batch["ids"] = [item.pair.id for item in items]
        return batch
