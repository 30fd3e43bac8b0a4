"""Average the scores by what a column of the pairs holds: a source, a language, a task."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import UsageError, suggest
from clairkit.records import Pair, canonical_json
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.scoring.pair_scores import PairScores

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
        names.update(dict.fromkeys(_names(_row(pair))))
    raise UsageError(
        "no pair has this column",
        received=column,
        remedy=f"{suggest(column, names)}The columns are {excerpt(', '.join(names), 300)}",
    )


def _row(pair: Pair) -> JsonObject:
    return {
        **pair.extra,
        "source": pair.source,
        "provenance": pair.provenance,
        "scores": pair.scores,
    }


def _find(pair: Pair, column: str) -> tuple[Any, bool]:
    """What a column holds, and whether the pair has it."""
    row: Any = _row(pair)
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
