"""Summarise many pairs' scores: a row a metric with its unit, or the means of each slice."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import UsageError, suggest
from clairkit.records import Pair, canonical_json
from clairkit.records.json_types import JsonMapping, JsonObject
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

SLICE_METRICS = (
    "contrastiveness",
    "length_balance",
    "overlap",
    "edit_share_chosen",
    "edit_share_rejected",
    "length_ratio",
)
"""The fields of `PairScores` that a slice has means of."""
NO_VALUE = "(none)"
"""The label of a pair that does not have the column."""


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


@dataclass(frozen=True)
class Slice:
    """The pairs with one value in a column.

    Attributes:
        label: the value, as text.
        n: how many pairs.
        means: mean of each of `SLICE_METRICS` over those that have a value; None without any.
    """

    label: str
    n: int
    means: Mapping[str, float | None]


def label_of(pair: Pair, column: str) -> str:
    """Return what `column` of a pair holds, as text, or `NO_VALUE`.

    Args:
        pair: the pair.
        column: `source`, a column of the file, or a path into objects: `provenance.reviser`.
    """
    found, _ = _find(pair, column)
    if found is None:
        return NO_VALUE
    return found if isinstance(found, str) else canonical_json(found)


def check_column(pairs: Iterable[Pair], column: str) -> None:
    """Check that some pair has a column, before anything is scored; read as far as needed.

    Raises:
        UsageError: none has; the message names the columns that there are.
    """
    names: dict[str, None] = {}
    for pair in pairs:
        if _find(pair, column)[1]:
            return
        names.update(dict.fromkeys(_names(_columns(pair))))
    raise UsageError(
        "no pair has this column",
        received=column,
        remedy=f"{suggest(column, names)}The columns are {excerpt(', '.join(names), 300)}",
    )


def _columns(pair: Pair) -> JsonObject:
    return {
        **pair.extra,
        "source": pair.source,
        "provenance": pair.provenance,
        "scores": pair.scores,
    }


def _find(pair: Pair, column: str) -> tuple[Any, bool]:
    """What a column holds, and whether the pair has it."""
    row: Any = _columns(pair)
    if column in row:
        return row[column], True
    for name in column.split("."):
        if not isinstance(row, Mapping) or name not in row:
            return None, False
        row = row[name]
    return row, True


def _names(row: JsonMapping, start: str = "") -> Iterator[str]:
    """The columns of a row, and the fields of those that are objects."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{start}{name}.")
        else:
            yield f"{start}{name}"


def slice_means(scores: Sequence[PairScores], labels: Sequence[str]) -> list[Slice]:
    """Return a slice for each label, the largest first, then by label."""
    groups: defaultdict[str, list[PairScores]] = defaultdict(list)
    for each, label in zip(scores, labels, strict=True):
        groups[label].append(each)
    return [
        Slice(label, len(groups[label]), _means(groups[label]))
        for label in sorted(groups, key=lambda label: (-len(groups[label]), label))
    ]


def _means(group: Sequence[PairScores]) -> dict[str, float | None]:
    means: dict[str, float | None] = {}
    for metric in SLICE_METRICS:
        values = [value for each in group if (value := getattr(each, metric)) is not None]
        means[metric] = math.fsum(values) / len(values) if values else None
    return means
