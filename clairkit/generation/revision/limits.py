"""Hold a revision to its limits: a share of edits, a change of length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from rapidfuzz.distance import Indel

from clairkit.generation.revision.edits import EditFault
from clairkit.models.sampling import Failure
from clairkit.scoring import load_tokenizer, units_of

LENGTH_TOLERANCE = 0.1
"""How far, as a share of its length, a length-neutral revision may be longer or shorter."""
LENGTH_SLACK = 10
"""And how many units, whatever the length."""


def over_limits(
    answer: str,
    revision: str,
    *,
    max_edit_share: float | None,
    length_neutral: bool,
    tokenizer: str | None,
) -> Iterator[tuple[Failure, EditFault]]:
    """Yield each limit that a revision exceeds: the row's failure, and what to tell the reviser.

    Args:
        answer: what was revised.
        revision: what it became.
        max_edit_share: the most of either side that may lie in edit spans; None is no limit.
        length_neutral: whether the length may not change.
        tokenizer: whose tokens are the units; None counts grapheme clusters.
    """
    if max_edit_share is None and not length_neutral:
        return
    counting = None if tokenizer is None else _tokenizer(tokenizer)
    before, after = units_of(answer, counting), units_of(revision, counting)
    if max_edit_share is not None:
        share = edit_share(before, after)
        if share > max_edit_share:
            detail = f"{share:.3f} of a side, and at most {max_edit_share:g} may be"
            fault = EditFault("edit_share", share=share, limit=max_edit_share)
            yield Failure("edit_share", detail, revision), fault
    change = abs(len(after) - len(before))
    if length_neutral and change > max(LENGTH_SLACK, LENGTH_TOLERANCE * len(before)):
        ratio = len(after) / max(len(before), 1)
        failure = Failure("length_changed", f"{ratio:.3f} of the answer's length", revision)
        yield failure, EditFault("length_changed", share=ratio)


def edit_share(before: Sequence[object], after: Sequence[object]) -> float:
    """Return the larger of the shares of two sides that lie in edit spans.

    The same as the scores `edit_share_chosen` and `edit_share_rejected`, without the alignment,
    which takes ten times as long; of very long sides these may be higher.
    """
    edited = Indel.distance(before, after)
    longer = len(after) - len(before)
    deleted, inserted = (edited - longer) // 2, (edited + longer) // 2
    return max(deleted / max(len(before), 1), inserted / max(len(after), 1))


@lru_cache(maxsize=4)
def _tokenizer(name: str) -> Any:
    return load_tokenizer(name)
