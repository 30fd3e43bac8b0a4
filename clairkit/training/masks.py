"""Mark which response tokens of a pair count in its loss, and how much.

The alignment is that of `clairkit.scoring`, over token ids: tokens in an edit span are *edited*,
all others are *shared*. A deletion marks tokens of rejected alone, an insertion tokens of chosen
alone: what follows is the same on both sides and counts as shared, although its context differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clairkit.batching import EncodedPair
from clairkit.batching.foreign import Spans
from clairkit.choices import LossMask
from clairkit.scoring import Alignment, align


@dataclass
class PairMasks:
    """The masks of pairs, in their order: True for edited tokens of chosen and of rejected.

    `counts` are over the pairs: `tokens`, `edited`; `no_edit_chosen` and `no_edit_rejected`, the
    pairs of two sides one of which has no edited token (a pure deletion, a pure insertion);
    `approximate`, the pairs too long to be aligned exactly, where more tokens may be marked than
    need be.
    """

    edited: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # bool, [tokens] each
    counts: Counter[str] = field(default_factory=Counter)


def edited_tokens(chosen_ids: Sequence[int], rejected_ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return which tokens of chosen and of rejected lie in edit spans.

    Where the other side is absent (has no token), every token is edited.

    Returns:
        bool, [len(chosen_ids)] and [len(rejected_ids)].
    """
    return _marked(align(rejected_ids, chosen_ids), len(chosen_ids), len(rejected_ids))


def _marked(alignment: Alignment, chosen: int, rejected: int) -> tuple[Tensor, Tensor]:
    marks = torch.zeros(chosen, dtype=torch.bool), torch.zeros(rejected, dtype=torch.bool)
    for span in alignment.spans:
        marks[0][span.chosen_start : span.chosen_end] = True
        marks[1][span.rejected_start : span.rejected_end] = True
    return marks


def mask_pairs(pairs: Iterable[EncodedPair]) -> PairMasks:
    """Return the masks of all pairs, with counts."""
    masks = PairMasks()
    for pair in pairs:
        alignment = align(pair.rejected_ids, pair.chosen_ids)
        marks = _marked(alignment, len(pair.chosen_ids), len(pair.rejected_ids))
        masks.edited.append(marks)
        masks.counts["tokens"] += len(pair.chosen_ids) + len(pair.rejected_ids)
        masks.counts["edited"] += alignment.inserted + alignment.deleted
        both = bool(pair.chosen_ids and pair.rejected_ids)
        masks.counts["no_edit_chosen"] += both and not alignment.inserted
        masks.counts["no_edit_rejected"] += both and not alignment.deleted
        masks.counts["approximate"] += not alignment.exact
    return masks


def weights_of(
    mode: LossMask,
    shared_weight: float,
    edited: tuple[Tensor, Tensor],
    foreign: tuple[Spans, Spans] = ((), ()),
) -> tuple[Tensor, Tensor]:
    """Return the weight of each token of chosen and of rejected, from their masks.

    Under `edits` a side without an edited token has weight 0 throughout: its log-ratio is 0 and it
    is given no gradient, while the other side is trained.

    Args:
        mode: all: 1; edits: 1 for edited tokens, 0 for shared ones; weighted: `shared_weight`
            for these.
        shared_weight: read by weighted alone.
        edited: bool, [tokens] each.
        foreign: tokens of each side that are not the assistant's: their weight is 0.

    Returns:
        float32, [tokens] each.
    """
    shared = {"all": 1.0, "edits": 0.0, "weighted": shared_weight}[mode]
    chosen, rejected = (torch.where(marks, 1.0, shared) for marks in edited)
    for weights, spans in ((chosen, foreign[0]), (rejected, foreign[1])):
        for start, end in spans:
            weights[start:end] = 0.0
    return chosen, rejected
