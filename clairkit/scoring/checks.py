"""Check pairs beside their scores: copies, evaluation prompts, benchmark texts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from statistics import median

from clairkit.records import Pair, PromptRow, digest
from clairkit.records.columns import missing
from clairkit.records.forms import to_pair
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.leakage import prompt_digest
from clairkit.records.messages import turns_of
from clairkit.records.read import read_rows
from clairkit.scoring.copies import BenchmarkIndex, Shingles, near_duplicates
from clairkit.scoring.pair_scores import FLAGS, PairScores

FAR = 3.5
"""The robust z-score beyond which a value is an outlier (Iglewicz and Hoaglin, 1993)."""

FEWEST = 20
"""Fewer values say too little about what is usual."""

_MAD = 1.4826  # median absolute deviation -> standard deviation, of normal values
_MEAN_AD = 1.2533  # mean absolute deviation -> likewise

QUESTIONS = ("prompt", "question", "problem", "input", "text")
"""Columns that hold a benchmark's text, the first that a row has."""


def outliers(values: Sequence[float | None]) -> Iterator[int]:
    """Return the places of the values that lie far from the others.

    z = (x - median) / (1.4826 MAD). Where more than half of all values are the same, the MAD is 0
    and 1.2533 times the mean absolute deviation takes its place.
    """
    known = [value for value in values if value is not None]
    if len(known) < FEWEST:
        return
    middle = median(known)
    deviations = [abs(value - middle) for value in known]
    scale = _MAD * median(deviations) or _MEAN_AD * math.fsum(deviations) / len(deviations)
    for place, value in enumerate(values):
        if value is not None and abs(value - middle) > FAR * scale:
            yield place


def log_ratio(ratio: float | None) -> float | None:
    """Return a length ratio's logarithm, so that twice and half lie equally far; None for 0."""
    return math.log(ratio) if ratio else None


@dataclass(frozen=True)
class Checks:
    """What to look for.

    Attributes:
        near: near duplicates as well; those word for word are always looked for.
        evaluation: digests of evaluation prompts, see `prompt_digests`.
        benchmark: texts that no pair should hold.
    """

    near: bool = False
    evaluation: frozenset[int] = frozenset()
    benchmark: BenchmarkIndex | None = None


@dataclass(frozen=True)
class Findings:
    """What one pair gave, to be compared with the others'.

    Attributes:
        flags: of it alone.
        prompt: 64 bits that stand for its prompt.
        content: 64 bits that stand for its prompt and sides.
        shingles: of its texts, where near duplicates are looked for.
    """

    flags: frozenset[str]
    prompt: int
    content: int
    shingles: Shingles | None


def prompt_digests(rows: Iterable[Pair | PromptRow]) -> frozenset[int]:
    """Return the digests of the rows' prompts, for `Checks.evaluation`."""
    return frozenset(prompt_digest(row) for row in rows)


def examine(pair: Pair, checks: Checks) -> Findings:
    """Return what one pair gives by itself."""
    texts = [turn["content"] for turn in chain(pair.prompt, pair.chosen, pair.rejected)]
    prompt = prompt_digest(pair)
    flags = set()
    if prompt in checks.evaluation:
        flags.add("in_eval")
    if checks.benchmark and any(checks.benchmark.holds(text) for text in texts):
        flags.add("contaminated")
    shingles = Shingles.of(texts) if checks.near else None
    return Findings(frozenset(flags), prompt, _content(pair), shingles)


def flagged(scores: Sequence[PairScores], found: Sequence[Findings]) -> list[PairScores]:
    """Return the scores with all flags; the order decides which of two copies is the first."""
    flags: list[set[str]] = [set(each.flags) for each in found]
    ratios = [log_ratio(each.length_ratio) for each in scores]
    shares = [each.edit_share_chosen for each in scores]
    for name, places in (
        ("duplicate", _repeated(found)),
        ("near_duplicate", _nearly_repeated(found)),
        ("length_outlier", outliers(ratios)),
        ("edit_outlier", outliers(shares)),
    ):
        for place in places:
            flags[place].add(name)
    return [
        replace(each, flags=tuple(flag for flag in FLAGS if flag in more.union(each.flags)))
        if more
        else each
        for each, more in zip(scores, flags, strict=True)
    ]


def _content(pair: Pair) -> int:
    parts = [
        [[turn["role"], turn["content"].strip()] for turn in part]
        for part in (pair.prompt, pair.chosen, pair.rejected)
    ]
    return int(digest(parts)[:16], 16)


def _repeated(found: Sequence[Findings]) -> Iterator[int]:
    seen: set[int] = set()
    for place, each in enumerate(found):
        if each.content in seen:
            yield place
        seen.add(each.content)


def _nearly_repeated(found: Sequence[Findings]) -> Iterator[int]:
    """Those that repeat one nearly, not word for word."""
    places = sorted(set(range(len(found))).difference(_repeated(found)))
    shingles = [(place, found[place].shingles) for place in places]
    known = [(place, each) for place, each in shingles if each is not None]
    for at in near_duplicates([each for _, each in known]) if known else ():
        yield known[at][0]


def read_evaluation(source: str | os.PathLike[str], *, skip_bad: bool = False) -> frozenset[int]:
    """Return the digests of the prompts of a source, which may hold prompts or pairs.

    Raises:
        DataError: the source is missing, or a row has no prompt.
    """
    return prompt_digests(read_rows(source, _numbered(_prompt), skip_bad=skip_bad))


def read_benchmark(
    sources: Iterable[str | os.PathLike[str]], *, skip_bad: bool = False
) -> BenchmarkIndex:
    """Return the index of the texts of benchmark files, each in one of the columns `QUESTIONS`.

    Raises:
        DataError: a source is missing, or a row has no text.
    """
    rows = (
        row
        for source in sources
        for row in read_rows(source, _numbered(_question), skip_bad=skip_bad)
    )
    return BenchmarkIndex.of("\n".join(turn["content"] for turn in row.prompt) for row in rows)


def _numbered(
    convert: Callable[[JsonMapping], Pair | PromptRow],
) -> Callable[[JsonObject], PromptRow]:
    """Rows by number: an evaluation set may say the same thing twice."""
    numbers = count()

    def numbered(row: JsonObject) -> PromptRow:
        return PromptRow(convert(row).prompt, id=str(next(numbers)))

    return numbered


def _prompt(row: JsonMapping) -> Pair | PromptRow:
    if "prompt" not in row:
        return to_pair(row)
    return PromptRow(turns_of(row["prompt"], "prompt", role="user"))


def _question(row: JsonMapping) -> PromptRow:
    column = next((name for name in QUESTIONS if row.get(name) is not None), None)
    if column is None:
        raise missing(row, ("prompt",), " or ".join(QUESTIONS))
    return PromptRow(turns_of(row[column], column, role="user"))
