"""Give the reasons for which a pair may be dropped, by what its scores say."""

from __future__ import annotations

from collections.abc import Iterable

from clairkit.errors import UsageError, suggest
from clairkit.scoring.pair_scores import DEAD, FLAGS, PairScores

REASONS: dict[str, frozenset[str]] = {
    **{flag: frozenset({flag}) for flag in FLAGS},
    "dead": DEAD,
    "outlier": frozenset({"length_outlier", "edit_outlier"}),
    "empty": frozenset({"empty_chosen", "empty_rejected"}),
}
"""Reason -> the flags any of which is that reason."""

NEAR_REASON = "near_duplicate"
"""The reason that has near duplicates looked for; it takes more time than all others."""


def parse_reasons(text: str) -> tuple[str, ...]:
    """Return the reasons named in `text`, separated by commas, in the order of `REASONS`.

    Raises:
        UsageError: a name is not a reason, or there is none.
    """
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    for name in names:
        if name not in REASONS:
            remedy = f"{suggest(name, REASONS)}Known are {', '.join(REASONS)}"
            raise UsageError("unknown reason to drop a pair", received=name, remedy=remedy)
    if not names:
        raise UsageError("no reason to drop a pair is named", received=text)
    return tuple(reason for reason in REASONS if reason in names)


def drop_reason(scores: PairScores, reasons: Iterable[str]) -> str | None:
    """Return the first of `reasons` that holds for a pair, or None: then it is kept."""
    flags = frozenset(scores.flags)
    return next((reason for reason in reasons if flags & REASONS[reason]), None)
