"""Summarise many pairs' scores as a table: one row a metric, with the unit it was counted in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clairkit.scoring.pair_scores import FLAGS, PairScores

METRICS = {
    "contrastiveness": "contrastiveness",
    "length_balance": "· length balance",
    "overlap": "· overlap, clean",
    "jaccard_set": "Jaccard, set",
    "jaccard_multiset": "Jaccard, multiset",
    "indel_similarity": "Indel similarity",
    "edit_share_chosen": "edit share, chosen",
    "edit_share_rejected": "edit share, rejected",
    "edit_spans": "edit spans",
    "span_length_mean": "span length, mean",
    "span_length_max": "span length, max",
    "clean_edit_share_chosen": "clean share, chosen",
    "clean_edit_share_rejected": "clean share, rejected",
    "clean_edit_spans": "clean spans",
    "clean_span_length_mean": "clean span length",
    "common_prefix_share": "common prefix share",
    "length_ratio": "length ratio",
    "chosen_length": "length, chosen",
    "rejected_length": "length, rejected",
    "prompt_length": "length, prompt",
}
"""Field of `PairScores` -> how a table calls it."""


@dataclass(frozen=True)
class SummaryRow:
    """One metric over many pairs.

    Attributes:
        metric: the field of `PairScores`.
        unit: what was counted, "token" or "grapheme".
        tokenizer: whose tokens; None for graphemes.
        n: pairs that have a value (a length ratio may have none).
        mean: arithmetic mean.
        median: 50th percentile.
        p10: 10th percentile; percentiles interpolate linearly between the nearest two values.
        p90: 90th percentile.
        min: smallest value.
        max: largest value.
    """

    metric: str
    unit: str
    tokenizer: str | None
    n: int
    mean: float
    median: float
    p10: float
    p90: float
    min: float
    max: float


def summarise(scores: Iterable[PairScores]) -> list[SummaryRow]:
    """Return one row for each metric and unit; the order of `scores` makes no difference.

    Scores in different units, or of different tokenizers, are never mixed: each has rows of its
    own. A metric without any value has no row.
    """
    groups: dict[tuple[str, str | None], list[PairScores]] = {}
    for score in scores:
        groups.setdefault((score.unit, score.tokenizer), []).append(score)
    rows = []
    for unit, tokenizer in sorted(groups, key=lambda key: (key[0], key[1] or "")):
        for metric in METRICS:
            found = (getattr(score, metric) for score in groups[unit, tokenizer])
            values = sorted(value for value in found if value is not None)
            if values:
                rows.append(_row(metric, unit, tokenizer, values))
    return rows


def count_flags(scores: Iterable[PairScores]) -> dict[str, int]:
    """Return how many of `scores` carry each flag, in the order of `FLAGS`, without zeros."""
    counts = Counter(flag for score in scores for flag in score.flags)
    return {flag: counts[flag] for flag in FLAGS if counts[flag]}


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted `values`, interpolated linearly between the nearest two."""
    place = (len(values) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def _row(metric: str, unit: str, tokenizer: str | None, values: Sequence[float]) -> SummaryRow:
    return SummaryRow(
        metric=metric,
        unit=unit,
        tokenizer=tokenizer,
        n=len(values),
        mean=math.fsum(values) / len(values),
        median=percentile(values, 50),
        p10=percentile(values, 10),
        p90=percentile(values, 90),
        min=values[0],
        max=values[-1],
    )
