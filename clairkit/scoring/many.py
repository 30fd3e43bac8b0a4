"""Score many pairs: filled in, filtered with counted reasons, in an order of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice

from clairkit.display import excerpt
from clairkit.errors import DataError, ResourceError, UsageError, suggest
from clairkit.records import Pair
from clairkit.records.thoughts import pair_without_thoughts
from clairkit.scoring.checks import Checks, Findings, examine, flagged
from clairkit.scoring.pair_scores import DEAD, FLAGS, PairScores, score_units
from clairkit.scoring.summary import label_of
from clairkit.scoring.units import Tokenizer, all_units, text_of, unit_name

Scored = tuple[PairScores, Findings]

_PAIRS = 64  # of a batch
_CHARACTERS = 1_000_000  # of a batch, about
_FEW = 1_000  # pairs that are scored before other processes have started
_AHEAD = 3  # batches a worker that wait or are done

_task: tuple[Tokenizer | None, Checks] = (None, Checks())
"""What a worker process was started with: the tokenizer and the checks."""

REASONS: dict[str, frozenset[str]] = {
    **{flag: frozenset({flag}) for flag in FLAGS},
    "dead": DEAD,
    "outlier": frozenset({"length_outlier", "edit_outlier"}),
    "empty": frozenset({"empty_chosen", "empty_rejected"}),
}
"""Reason -> the flags any of which is that reason."""
NEAR_REASON = "near_duplicate"
"""The reason that has near duplicates looked for; it takes more time than all others."""


def default_workers() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scored(
    pairs: Iterable[Pair], tokenizer: Tokenizer | None, checks: Checks, workers: int = 1
) -> Iterator[tuple[Pair, PairScores, Findings]]:
    """Return each of `pairs` with its scores and findings, in order, reading a little ahead.

    Args:
        pairs: read once.
        tokenizer: a transformers tokenizer, or None to count grapheme clusters.
        checks: what else to look for.
        workers: processes; a few pairs are scored in this one.

    Raises:
        DataError: a pair cannot be scored; the message names its id.
        ResourceError: a worker process ended.
    """
    stream = iter(pairs)
    first = list(islice(stream, _FEW)) if workers > 1 else []
    more = next(stream, None) if len(first) == _FEW else None
    if workers > 1 and more is not None:
        yield from _elsewhere(chain(first, [more], stream), tokenizer, checks, workers)
        return
    for batch in _batches(chain(first, stream)):
        yield from _joined(batch, score_batch(batch, tokenizer, checks))


def score_batch(pairs: list[Pair], tokenizer: Tokenizer | None, checks: Checks) -> list[Scored]:
    """Return the scores and findings of a few pairs, whose texts are encoded together.

    Raises:
        DataError: a pair can't be scored.
    """
    told = [pair_without_thoughts(pair) for pair in pairs]
    texts = [
        text_of(part) for pair, _ in told for part in (pair.prompt, pair.chosen, pair.rejected)
    ]
    units = iter(all_units(texts, tokenizer))
    unit = unit_name(tokenizer)
    results = []
    for (pair, thoughts), prompt, ours, theirs in zip(told, units, units, units, strict=True):
        try:
            scores = score_units(
                pair.chosen,
                pair.rejected,
                ours,
                theirs,
                unit=unit,
                prompt_length=len(prompt),
                thoughts=thoughts,
            )
        except DataError as error:
            raise DataError(f"pair {excerpt(pair.id)}: {error}") from None
        results.append((scores, examine(pair, checks)))
    return results


def _elsewhere(
    pairs: Iterable[Pair], tokenizer: Tokenizer | None, checks: Checks, workers: int
) -> Iterator[tuple[Pair, PairScores, Findings]]:
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),  # a tokenizer's threads outlive no fork
        initializer=_start,
        initargs=(tokenizer, checks),
    )
    waiting: deque[tuple[list[Pair], Future[list[Scored]]]] = deque()
    try:
        for batch in _batches(pairs):
            waiting.append((batch, pool.submit(_work, [_bare(pair) for pair in batch])))
            if len(waiting) >= _AHEAD * workers:
                yield from _done(*waiting.popleft())
        while waiting:
            yield from _done(*waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(
    batch: list[Pair], future: Future[list[Scored]]
) -> Iterator[tuple[Pair, PairScores, Findings]]:
    from concurrent.futures.process import BrokenProcessPool

    try:
        results = future.result()
    except BrokenProcessPool:
        problem = "a worker process ended while it scored pairs"
        raise ResourceError(problem, remedy="use fewer --workers, which take less memory") from None
    yield from _joined(batch, results)


def _joined(
    batch: list[Pair], results: list[Scored]
) -> Iterator[tuple[Pair, PairScores, Findings]]:
    for pair, (scores, findings) in zip(batch, results, strict=True):
        yield pair, scores, findings


def _batches(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    batch: list[Pair] = []
    characters = 0
    for pair in pairs:
        batch.append(pair)
        turns = chain(pair.prompt, pair.chosen, pair.rejected)
        characters += sum(len(turn["content"]) for turn in turns)
        if len(batch) == _PAIRS or characters >= _CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _bare(pair: Pair) -> Pair:
    """Only what a worker reads."""
    return replace(pair, rationale=None, scores={}, provenance={}, extra={})


def _start(tokenizer: Tokenizer | None, checks: Checks) -> None:
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _task = (tokenizer, checks)


def _work(pairs: list[Pair]) -> list[Scored]:
    return score_batch(pairs, *_task)


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
        pairs=[
            replace(row.pair, scores={**row.pair.scores, **scores.to_json()})
            for row, scores in kept
            if row.pair is not None
        ],
        scores=[scores for _, scores in kept],
        prompts=[row.findings.prompt for row, _ in kept],
        labels=[row.label for row, _ in kept] if labelled else [],
        read=len(rows),
        dropped={reason: dropped[reason] for reason in drop if dropped[reason]},
    )
