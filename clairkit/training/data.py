"""What the trainer iterates: encoded pairs with their reference log-probs, cut into parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from clairkit.batching import EncodedPair
from clairkit.batching.collate import PairCollator
from clairkit.training.masks import LossMask, edited_tokens, weights_of

Part = dict[str, Any]


@dataclass(frozen=True)
class TrainingPair:
    """A pair with what is known of each of its response tokens; chosen's, then rejected's."""

    pair: EncodedPair
    reference: tuple[Tensor, Tensor]  # log-probs, [tokens] float32
    edited: tuple[Tensor, Tensor]  # lies in an edit span, [tokens] bool


class TrainingPairs(Dataset[TrainingPair]):
    """The pairs in file order; the reference is filled in once, before training."""

    def __init__(
        self,
        pairs: Sequence[EncodedPair],
        sources: Mapping[str, int] | None = None,
        prompts: Collection[int] = (),
    ) -> None:
        self.pairs = list(pairs)
        self.prompts = prompts  # their digests, where the texts are known
        self.sources = dict(sources or {})  # pairs by their `source`, where it is known
        self._edited: dict[int, tuple[Tensor, Tensor]] = {}
        self.reference: list[tuple[Tensor, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> TrainingPair:
        if self.reference is None:
            raise RuntimeError("compute_references() comes before the first batch")
        pair = self.pairs[index]
        if index not in self._edited:  # long pairs take a tenth of a second to align
            self._edited[index] = edited_tokens(pair.chosen_ids, pair.rejected_ids)
        return TrainingPair(pair, self.reference[index], self._edited[index])


@dataclass(frozen=True)
class TrainingCollator:
    """`PairCollator`'s parts with what the loss and the metrics read.

    Each part of b pairs and S response tokens gets, sequences in the order chosen 0..b-1, then
    rejected 0..b-1:

    - `ids`: the pairs' names, for error messages;
    - `ref_logps`, `edited` [S]: per token;
    - `weights` [S]: what a token counts in the loss; absent where all count 1;
    - `ref_sums`, `sizes` [2b]: weighted sums of reference log-probs, and of tokens;
    - `chosen_tokens`, `sides`: weighted tokens of all chosen sides, and how many sides have any;
    - `counts`: False for a part that is run for the sake of other processes alone.
    """

    collate: PairCollator
    mask: LossMask = "all"
    shared_weight: float = 0.1
    largest: int | None = None
    """Tokens of the largest pair of the run: the number of parts goes by it, and so is the same on
    all processes of a sharded model. None: as few parts as hold the batch."""

    def __call__(self, items: Sequence[TrainingPair]) -> dict[str, Any]:
        """Return one batch: its `parts`, and `rows` [B] by which its size is known."""
        parts: list[Part] = []
        for made in self._collate_for(len(items))([item.pair for item in items]):
            parts.append({**made, **self._tokens([items[index] for index in made["index"]])})
        return {"rows": torch.arange(len(items)), "parts": parts}

    def _collate_for(self, size: int) -> PairCollator:
        if self.largest is None or self.collate.tokens is None:
            return self.collate
        return replace(self.collate, parts=math.ceil(size * self.largest / self.collate.tokens))

    def _tokens(self, items: Sequence[TrainingPair]) -> Part:
        references = _by_side([item.reference for item in items])
        found: Part = {
            "ids": [item.pair.id for item in items],
            "ref_logps": torch.cat(references),
            "edited": torch.cat(_by_side([item.edited for item in items])),
        }
        sizes = torch.tensor([float(len(reference)) for reference in references])
        if self.mask != "all" or any(any(item.pair.foreign) for item in items):
            weights = _by_side(
                [
                    weights_of(self.mask, self.shared_weight, item.edited, item.pair.foreign)
                    for item in items
                ]
            )
            found["weights"] = torch.cat(weights)
            references = [w * reference for w, reference in zip(weights, references, strict=True)]
            sizes = _sums(weights)
        return found | {
            "ref_sums": _sums(references),
            "sizes": sizes,
            **_totals(sizes),
            "counts": True,
        }


def without_repeats(parts: Sequence[Part], own: int) -> list[Part]:
    """Leave out the pairs of a batch from place `own` on, which repeat others of the epoch.

    With them a process's last batch was filled up, so that all have batches of one size. They are
    run through the model still; a part of nothing else does not count.
    """
    result = []
    for part in parts:
        kept = [place < own for place in part["index"]]
        if not any(kept):
            result.append({**part, "counts": False})
        elif not all(kept):
            result.append(_selected(part, kept))
        else:
            result.append(part)
    return result


def _selected(part: Part, kept: Sequence[bool]) -> Part:
    """Return the part with some of its pairs alone, but for what the model is given."""
    sequences = [*kept, *kept]
    lengths = zip(part["lengths"], sequences, strict=True)
    tokens = [keep for length, keep in lengths for _ in range(length)]
    per_token = {"side_index", "ref_logps", "edited", "weights"} & part.keys()
    found = {name: part[name][_mask(tokens, part[name])] for name in per_token}
    for name in ("ref_sums", "sizes"):
        found[name] = part[name][_mask(sequences, part[name])]
    for name, mask in (("ids", kept), ("index", kept), ("lengths", sequences)):
        found[name] = list(itertools.compress(part[name], mask))
    return part | found | _totals(found["sizes"])


def _mask(kept: Sequence[bool], like: Tensor) -> Tensor:
    return torch.tensor(kept, device=like.device)


def _totals(sizes: Tensor) -> dict[str, float]:
    chosen, _ = sizes.chunk(2)
    return {"chosen_tokens": float(chosen.sum()), "sides": int((sizes > 0).sum())}


@dataclass(frozen=True)
class StepSize:
    """What a step holds, over all its batches; a process's share of it."""

    pairs: float
    chosen_tokens: float  # weighted
    sides: float

    @classmethod
    def of(cls, batches: Sequence[dict[str, Any]], accelerator: Any = None) -> StepSize:
        """Count what is in some batches; a mean over the processes of `accelerator`."""
        parts = [part for batch in batches for part in batch["parts"] if part["counts"]]
        counts = (
            sum(len(part["ids"]) for part in parts),
            sum(part["chosen_tokens"] for part in parts),
            sum(part["sides"] for part in parts),
        )
        if accelerator is None or accelerator.num_processes == 1:
            return cls(*counts)
        mine = torch.tensor([counts], dtype=torch.float64, device=accelerator.device)
        return cls(*accelerator.gather(mine).mean(0).tolist())

    @property
    def means(self) -> dict[str, float]:
        """The means that some losses divide by, as `preference_loss` takes them."""
        return {
            "mean_chosen_length": self.chosen_tokens / self.pairs,
            "mean_sides": self.sides / self.pairs,
        }


def _by_side(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    return [tensor for side in zip(*pairs, strict=True) for tensor in side]


def _sums(sequences: Sequence[Tensor]) -> Tensor:
    return torch.stack([sequence.sum() for sequence in sequences])
