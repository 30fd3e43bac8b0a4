"""Mark which response tokens of a pair count in its loss, and how much.

The alignment is that of `clairkit.scoring`, over token ids: tokens in an edit span are *edited*,
all others are *shared*. A deletion marks tokens of rejected alone, an insertion tokens of chosen
alone: what follows is the same on both sides and counts as shared, although its context differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

from clairkit.batching import EncodedPair
from clairkit.batching.foreign import Spans
from clairkit.choices import LossMask


def edited_tokens(pair: EncodedPair) -> tuple[Tensor, Tensor]:
    """Return which tokens of chosen and of rejected lie in edit spans.

    Where the other side is absent (has no token), every token is edited.

    Returns:
        bool, [tokens] each.
    """
    chosen = torch.zeros(len(pair.chosen_ids), dtype=torch.bool)
    rejected = torch.zeros(len(pair.rejected_ids), dtype=torch.bool)
    for span in pair.alignment.spans:
        chosen[span.chosen_start : span.chosen_end] = True
        rejected[span.rejected_start : span.rejected_end] = True
    return chosen, rejected


def mask_counts(pairs: Iterable[EncodedPair]) -> Counter[str]:
    """Count what a mask makes of pairs.

    `tokens` and `edited` are response tokens. `no_edit_chosen` and `no_edit_rejected` are pairs of
    two sides one of which has no edited token (a pure deletion, a pure insertion); `approximate`
    are pairs too long to be aligned exactly, where more tokens may be marked than need be.
    """
    counts: Counter[str] = Counter()
    for pair in pairs:
        alignment = pair.alignment
        counts["tokens"] += len(pair.chosen_ids) + len(pair.rejected_ids)
        counts["edited"] += alignment.inserted + alignment.deleted
        both = bool(pair.chosen_ids and pair.rejected_ids)
        counts["no_edit_chosen"] += both and not alignment.inserted
        counts["no_edit_rejected"] += both and not alignment.deleted
        counts["approximate"] += not alignment.exact
    return counts


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
