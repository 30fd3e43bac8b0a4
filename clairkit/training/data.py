"""Give the trainer its batches: encoded pairs with their reference log-probs, cut into parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from clairkit.batching import EncodedPair
from clairkit.batching.collate import PairCollator, Part
from clairkit.choices import LossMask
from clairkit.training.masks import edited_tokens, weights_of

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class TrainingPart(Part):
    """A part of b pairs and S response tokens, with what the loss and the metrics read of it.

    Sequences are in the order chosen 0..b-1, then rejected 0..b-1.
    """

    ids: list[str]  # the pairs' names, for error messages
    ref_logps: Tensor  # [S] float32: log-prob of each token under the reference
    edited: Tensor  # [S] bool: lies in an edit span
    weights: Tensor | None  # [S] float32: what a token counts in the loss; None where all count 1
    ref_sums: Tensor  # [2b] float32: weighted sums of reference log-probs
    sizes: Tensor  # [2b] float32: weighted tokens
    chosen_tokens: float  # weighted tokens of all chosen sides
    sides: int  # how many sides have any weight
    counts: bool = True  # False for a part that is run for the sake of other processes alone


class Batch(TypedDict):
    rows: Tensor  # [B]: the Trainer knows a batch's size by it
    parts: list[TrainingPart]


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
        self.reference: list[tuple[Tensor, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> TrainingPair:
        if self.reference is None:
            raise RuntimeError("compute_references() comes before the first batch")
        pair = self.pairs[index]
        return TrainingPair(pair, self.reference[index], edited_tokens(pair))


@dataclass(frozen=True)
class TrainingCollator:
    """Makes a batch of `PairCollator`'s parts."""

    collate: PairCollator
    mask: LossMask = "all"
    shared_weight: float = 0.1
    largest: int | None = None
    """Tokens of the largest pair of the run: the number of parts goes by it, and so is the same on
    all processes of a sharded model. None: as few parts as hold the batch."""

    def __call__(self, items: Sequence[TrainingPair]) -> Batch:
        made = self._collate_for(len(items))([item.pair for item in items])
        parts = [self._filled(part, [items[index] for index in part.index]) for part in made]
        return {"rows": torch.arange(len(items)), "parts": parts}

    def _collate_for(self, size: int) -> PairCollator:
        if self.largest is None or self.collate.tokens is None:
            return self.collate
        return replace(self.collate, parts=math.ceil(size * self.largest / self.collate.tokens))

    def _filled(self, part: Part, items: Sequence[TrainingPair]) -> TrainingPart:
        logps = references = _by_side([item.reference for item in items])
        sizes = torch.tensor([float(len(reference)) for reference in references])
        weights = None
        if self.mask != "all" or any(any(item.pair.foreign) for item in items):
            by_side = _by_side(
                [
                    weights_of(self.mask, self.shared_weight, item.edited, item.pair.foreign)
                    for item in items
                ]
            )
            weights = torch.cat(by_side)
            references = [w * reference for w, reference in zip(by_side, logps, strict=True)]
            sizes = _sums(by_side)
        chosen_tokens, sides = _totals(sizes)
        return TrainingPart(
            **{field.name: getattr(part, field.name) for field in fields(Part)},
            ids=[item.pair.id for item in items],
            ref_logps=torch.cat(logps),
            edited=torch.cat(_by_side([item.edited for item in items])),
            weights=weights,
            ref_sums=_sums(references),
            sizes=sizes,
            chosen_tokens=chosen_tokens,
            sides=sides,
        )


def without_repeats(parts: Sequence[TrainingPart], own: int) -> list[TrainingPart]:
    """Leave out the pairs of a batch from place `own` on, which repeat others of the epoch.

    With them a process's last batch was filled up, so that all have batches of one size. They are
    run through the model still; a part of nothing else does not count.
    """
    result = []
    for part in parts:
        kept = [place < own for place in part.index]
        if not any(kept):
            result.append(replace(part, counts=False))
        elif not all(kept):
            result.append(_selected(part, kept))
        else:
            result.append(part)
    return result


def _selected(part: TrainingPart, kept: Sequence[bool]) -> TrainingPart:
    """Return the part with some of its pairs alone, but for what the model is given."""
    both = [*kept, *kept]
    device = part.sizes.device
    sequences = torch.tensor(both, device=device)
    tokens = sequences.repeat_interleave(torch.tensor(part.lengths, device=device))
    sizes = part.sizes[sequences]
    chosen_tokens, sides = _totals(sizes)
    return replace(
        part,
        side_index=part.side_index[tokens],
        lengths=list(itertools.compress(part.lengths, both)),
        index=list(itertools.compress(part.index, kept)),
        ids=list(itertools.compress(part.ids, kept)),
        ref_logps=part.ref_logps[tokens],
        edited=part.edited[tokens],
        weights=None if part.weights is None else part.weights[tokens],
        ref_sums=part.ref_sums[sequences],
        sizes=sizes,
        chosen_tokens=chosen_tokens,
        sides=sides,
    )


def _totals(sizes: Tensor) -> tuple[float, int]:
    """Return the weighted tokens of all chosen sides, and how many sides have any."""
    chosen, _ = sizes.chunk(2)
    return float(chosen.sum()), int((sizes > 0).sum())


@dataclass(frozen=True)
class StepSize:
    """What a step holds, over all its batches; a process's share of it."""

    pairs: float
    chosen_tokens: float  # weighted
    sides: float

    @classmethod
    def of(cls, batches: Sequence[Batch], accelerator: Accelerator | None = None) -> StepSize:
        """Count what is in some batches; a mean over the processes of `accelerator`."""
        parts = [part for batch in batches for part in batch["parts"] if part.counts]
        counts = (
            sum(len(part.ids) for part in parts),
            sum(part.chosen_tokens for part in parts),
            sum(part.sides for part in parts),
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
