"""Read what pairs are checked against: evaluation prompts and benchmarks, of any file kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import count

from clairkit.records import Pair, PromptRow
from clairkit.records.columns import missing
from clairkit.records.forms import to_pair
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.messages import turns_of
from clairkit.records.read import read_rows
from clairkit.scoring.checks import prompt_digests
from clairkit.scoring.contamination import BenchmarkIndex

QUESTIONS = ("prompt", "question", "problem", "input", "text")
"""Columns that hold a benchmark's text, the first that a row has."""


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
