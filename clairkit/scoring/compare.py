"""Compare sets of pairs: what each differs in on average, with intervals."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clairkit.errors import DataError
from clairkit.records import Pair
from clairkit.scoring.checks import Checks
from clairkit.scoring.many import ScoredPairs, score_pairs
from clairkit.scoring.pair_scores import PairScores
from clairkit.scoring.summary import METRICS, count_flags
from clairkit.scoring.units import Tokenizer, unit_name

DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class MeanRow:
    """One metric's mean over a set of pairs.

    Attributes:
        metric: the field of `PairScores`.
        n: pairs that have a value (a length ratio may have none).
        mean: arithmetic mean over pairs.
        low: lower end of the 95 % percentile bootstrap interval. Prompts are drawn, each with
            all its pairs: pairs of one prompt are not independent.
        high: upper end.
    """

    metric: str
    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ComparedSet:
    """One of the sets.

    Attributes:
        pairs: how many were scored.
        prompts: digests of their prompts.
        sources: pairs by `source`.
        means: a row a metric that has values, in the order of `METRICS`.
        flags: pairs by flag.
        dropped: pairs left out, by reason.
    """

    pairs: int
    prompts: frozenset[int]
    sources: Mapping[str, int]
    means: Sequence[MeanRow]
    flags: Mapping[str, int]
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class Comparison:
    """Sets by name, all counted in the same unit.

    Attributes:
        unit: "token" or "grapheme".
        tokenizer: whose tokens; None for graphemes.
        sets: by name, in the order given.
    """

    unit: str
    tokenizer: str | None
    sets: Mapping[str, ComparedSet]

    @property
    def shared_prompts(self) -> int:
        """Return how many prompts all sets have."""
        return len(frozenset.intersection(*(each.prompts for each in self.sets.values())))

    @property
    def all_prompts(self) -> int:
        """Return how many prompts any set has."""
        return len(frozenset().union(*(each.prompts for each in self.sets.values())))


def compare_sets(
    sets: Mapping[str, Iterable[Pair]],
    tokenizer: Tokenizer | None = None,
    *,
    drop: Sequence[str] = (),
    checks: Checks | None = None,
    workers: int = 1,
) -> Comparison:
    """Score each set of pairs; the order of the pairs makes no difference.

    Args:
        sets: by name; each is read once.
        tokenizer: a transformers tokenizer, or None to count grapheme clusters.
        drop: names out of `clairkit.scoring.REASONS`: such pairs are left out.
        checks: what else to look for in each set.
        workers: processes that score, see `clairkit.scoring.score_pairs`.

    Raises:
        DataError: no pair of a set is left, or a pair cannot be scored.
    """
    compared = {}
    for name, pairs in sets.items():
        scored = score_pairs(
            pairs,
            tokenizer,
            drop=drop,
            keep_pairs=False,
            checks=checks,
            by="source",
            workers=workers,
        )
        compared[name] = _compared(name, scored)
    unit, tokenizer_name = unit_name(tokenizer)
    return Comparison(unit, tokenizer_name, compared)


def _compared(name: str, scored: ScoredPairs) -> ComparedSet:
    if not scored.scores:
        counts = ", ".join(f"{count} {reason}" for reason, count in scored.dropped.items()) or None
        raise DataError(
            "0 pairs are left",
            path=name,
            received=counts,
            remedy="leave this set out, or name fewer reasons to drop",
        )
    by_prompt: defaultdict[int, list[PairScores]] = defaultdict(list)
    for prompt, scores in zip(scored.prompts, scored.scores, strict=True):
        by_prompt[prompt].append(scores)
    return ComparedSet(
        pairs=len(scored.scores),
        prompts=frozenset(by_prompt),
        sources=dict(sorted(Counter(scored.labels).items())),
        means=_means(by_prompt),
        flags=count_flags(scored.scores),
        dropped=scored.dropped,
    )


def _means(by_prompt: Mapping[int, Sequence[PairScores]]) -> list[MeanRow]:
    """The means of all metrics, with intervals over prompts."""
    import numpy

    groups = [by_prompt[prompt] for prompt in sorted(by_prompt)]
    cells = [
        [
            [value for each in group if (value := getattr(each, metric)) is not None]
            for metric in METRICS
        ]
        for group in groups
    ]
    sums = numpy.array([[math.fsum(values) for values in row] for row in cells])  # [P, M]
    counts = numpy.array([[len(values) for values in row] for row in cells], dtype=float)
    lows, highs = _intervals(sums, counts)
    rows = []
    for place, metric in enumerate(METRICS):
        n = int(counts[:, place].sum())
        if n:
            mean = math.fsum(sums[:, place]) / n
            rows.append(MeanRow(metric, n, mean, float(lows[place]), float(highs[place])))
    return rows


def _intervals(sums: Any, counts: Any) -> tuple[Any, Any]:
    """The ends of the bootstrap intervals of the ratio of two column sums, a column a metric."""
    import numpy

    prompts = len(sums)
    generator = numpy.random.default_rng(0)
    both = numpy.concatenate([sums, counts], axis=1)  # [P, 2 M]
    drawn = numpy.empty((DRAWS, both.shape[1]))
    for draw in range(DRAWS):
        places = generator.integers(0, prompts, prompts)
        drawn[draw] = numpy.bincount(places, minlength=prompts) @ both
    total, n = numpy.split(drawn, 2, axis=1)
    means = numpy.divide(total, n, out=numpy.full_like(total, numpy.nan), where=n > 0)
    tail = (1 - CONFIDENCE) / 2
    valued = counts.sum(axis=0) > 0
    ends = numpy.full((2, sums.shape[1]), numpy.nan)
    ends[:, valued] = numpy.nanquantile(means[:, valued], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]
