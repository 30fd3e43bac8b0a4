"""Check pairs beside their scores: copies, evaluation prompts, benchmark texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from clairkit.records import Pair, PromptRow, digest
from clairkit.records.leakage import prompt_digest
from clairkit.scoring.contamination import BenchmarkIndex
from clairkit.scoring.duplicates import Shingles, near_duplicates
from clairkit.scoring.outliers import log_ratio, outliers
from clairkit.scoring.pair_scores import FLAGS, PairScores


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
