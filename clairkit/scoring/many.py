"""Scores of many pairs: filled in, filtered with counted reasons, in an order of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import DataError
from clairkit.records import Pair
from clairkit.scoring.filters import drop_reason
from clairkit.scoring.pair_scores import PairScores, score_pair


@dataclass(frozen=True)
class ScoredPairs:
    """What scoring a file gave. All parts are the same for any order of the input.

    Attributes:
        pairs: those kept, sorted by id, each with its `scores` filled; other entries that were
            in `scores` stay. Empty when pairs were not to be kept.
        scores: of the pairs kept, in the same order.
        read: how many pairs were read.
        dropped: how many were dropped, by reason; a pair counts once, under the first that holds.
    """

    pairs: list[Pair]
    scores: list[PairScores]
    read: int
    dropped: dict[str, int]


def score_pairs(
    pairs: Iterable[Pair],
    tokenizer: Any | None = None,
    *,
    drop: Sequence[str] = (),
    keep_pairs: bool = True,
) -> ScoredPairs:
    """Score each of `pairs` and leave out those for which one of the reasons `drop` holds.

    Args:
        pairs: any iterable; it is read once.
        tokenizer: a transformers tokenizer, or None to count grapheme clusters.
        drop: names out of `REASONS`, those first that shall be counted first.
        keep_pairs: hold the pairs in memory, to write them; the scores alone are small.

    Raises:
        DataError: a pair cannot be scored; the message names its id.
    """
    kept: list[tuple[str, PairScores, Pair | None]] = []
    dropped: Counter[str] = Counter()
    for pair in pairs:
        scores = named_scores(pair, tokenizer)
        if reason := drop_reason(scores, drop):
            dropped[reason] += 1
        else:
            kept.append((pair.id, scores, _filled(pair, scores) if keep_pairs else None))
    kept.sort(key=lambda item: item[0])
    return ScoredPairs(
        pairs=[pair for _, _, pair in kept if pair is not None],
        scores=[scores for _, scores, _ in kept],
        read=len(kept) + dropped.total(),
        dropped={reason: dropped[reason] for reason in drop if dropped[reason]},
    )


def _filled(pair: Pair, scores: PairScores) -> Pair:
    return replace(pair, scores={**pair.scores, **scores.to_json()})


def named_scores(pair: Pair, tokenizer: Any | None) -> PairScores:
    """Return a pair's scores; an error names the pair."""
    try:
        return score_pair(pair.prompt, pair.chosen, pair.rejected, tokenizer)
    except DataError as error:
        raise DataError(f"pair {excerpt(pair.id)}: {error}") from None
