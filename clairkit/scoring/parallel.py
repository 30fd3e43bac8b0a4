"""Score pairs in batches, in this process or in several; results come in the pairs' order."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from itertools import chain, islice

from clairkit.display import excerpt
from clairkit.errors import DataError, ResourceError
from clairkit.records import Pair
from clairkit.records.thoughts import pair_without_thoughts
from clairkit.scoring.checks import Checks, Findings, examine
from clairkit.scoring.pair_scores import PairScores, score_units
from clairkit.scoring.units import Tokenizer, all_units, text_of, unit_name

Scored = tuple[PairScores, Findings]

_PAIRS = 64  # of a batch
_CHARACTERS = 1_000_000  # of a batch, about
_FEW = 1_000  # pairs that are scored before other processes have started
_AHEAD = 3  # batches a worker that wait or are done

_task: tuple[Tokenizer | None, Checks] = (None, Checks())
"""What a worker process was started with: the tokenizer and the checks."""


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
