"""Score many pairs: filled in, filtered with counted reasons, in an order of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from clairkit.errors import UsageError, suggest
from clairkit.records import Pair
from clairkit.scoring.checks import Checks, Findings, flagged
from clairkit.scoring.pair_scores import DEAD, FLAGS, PairScores
from clairkit.scoring.parallel import scored
from clairkit.scoring.slices import label_of
from clairkit.scoring.units import Tokenizer

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


@dataclass(frozen=True)
class ScoredPairs:
    """What scoring a file gave. All parts are the same for any order of the input.

    Attributes:
        pairs: those kept, sorted by id, each with its `scores` filled; other entries that were
            in `scores` stay. Empty when pairs were not to be kept.
        scores: of the pairs kept, in the same order.
        prompts: 64 bits that stand for the prompt of each of them.
        labels: what column `by` holds in each of them, as text. Empty without `by`.
        read: how many pairs were read.
        dropped: how many were dropped, by reason; a pair counts once, under the first that holds.
    """

    pairs: list[Pair]
    scores: list[PairScores]
    prompts: list[int]
    labels: list[str]
    read: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class _Row:
    name: str
    scores: PairScores
    findings: Findings
    label: str
    pair: Pair | None


def score_pairs(
    pairs: Iterable[Pair],
    tokenizer: Tokenizer | None = None,
    *,
    drop: Sequence[str] = (),
    keep_pairs: bool = True,
    checks: Checks | None = None,
    by: str | None = None,
    workers: int = 1,
) -> ScoredPairs:
    """Score each of `pairs` and leave out those for which one of the reasons `drop` holds.

    Duplicates and outliers are told among all pairs read, before any is left out.

    Args:
        pairs: any iterable; it is read once.
        tokenizer: a transformers tokenizer, or None to count grapheme clusters.
        drop: names out of `REASONS`, those first that shall be counted first.
        keep_pairs: hold the pairs in memory, to write them; the scores alone are small.
        checks: what else to look for. Near duplicates are looked for when `drop` names them.
        by: a column whose values become `labels`, see `clairkit.scoring.label_of`.
        workers: processes that score, from 1,000 pairs on. They are started anew, so a script
            that asks for several needs its `if __name__ == "__main__":`.

    Raises:
        DataError: a pair cannot be scored; the message names its id.
        ResourceError: a worker process ended.
    """
    checks = checks or Checks()
    if NEAR_REASON in drop:
        checks = replace(checks, near=True)
    rows = [
        _Row(
            pair.id,
            scores,
            findings,
            label_of(pair, by) if by else "",
            pair if keep_pairs else None,
        )
        for pair, scores, findings in scored(pairs, tokenizer, checks, workers)
    ]
    rows.sort(key=lambda row: row.name)
    return _filtered(rows, drop, labelled=by is not None)


def _filtered(rows: Sequence[_Row], drop: Sequence[str], *, labelled: bool) -> ScoredPairs:
    complete = flagged([row.scores for row in rows], [row.findings for row in rows])
    dropped: Counter[str] = Counter()
    kept: list[tuple[_Row, PairScores]] = []
    for row, scores in zip(rows, complete, strict=True):
        if reason := drop_reason(scores, drop):
            dropped[reason] += 1
        else:
            kept.append((row, scores))
    return ScoredPairs(
        pairs=[_filled(row.pair, scores) for row, scores in kept if row.pair is not None],
        scores=[scores for _, scores in kept],
        prompts=[row.findings.prompt for row, _ in kept],
        labels=[row.label for row, _ in kept] if labelled else [],
        read=len(rows),
        dropped={reason: dropped[reason] for reason in drop if dropped[reason]},
    )


def _filled(pair: Pair, scores: PairScores) -> Pair:
    return replace(pair, scores={**pair.scores, **scores.to_json()})
