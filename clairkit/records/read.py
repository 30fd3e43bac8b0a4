"""Read pairs and prompts from whatever holds them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from clairkit.records.columns import ColumnChoice
from clairkit.records.faults import Located
from clairkit.records.formats.arrow_rows import folder_rows, hub_rows, parquet_rows
from clairkit.records.formats.csv_file import csv_rows
from clairkit.records.formats.json_file import json_lines, json_rows
from clairkit.records.forms import to_pair, to_prompt
from clairkit.records.json_types import JsonObject
from clairkit.records.schema import Pair, PromptRow
from clairkit.records.source import Kind, Source, find_source
from clairkit.records.stream import Record, RowStream

if TYPE_CHECKING:
    Rows = Callable[[Source], Iterator[Located]]

AS_NAMED = ColumnChoice()
"""Every column is what its name says."""

_READERS: dict[Kind, Rows] = {
    "jsonl": json_lines,
    "json": json_rows,
    "csv": csv_rows,
    "parquet": parquet_rows,
    "folder": folder_rows,
    "hub": hub_rows,
}


def read_pairs(
    source: str | os.PathLike[str],
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    one_sided: bool = False,
    columns: ColumnChoice = AS_NAMED,
) -> RowStream[Pair]:
    """Return the pairs of a source, in its order, as a stream that can be iterated repeatedly.

    Accepted are JSON (an array, or an object with one array), JSONL, both also gzipped, CSV
    (messages as JSON text in the cells), Parquet, a `datasets` folder, and a Hub id as `org/name`,
    `org/name:split` or `hf://org/name`. A row has one of these forms:

    - `prompt`, `chosen`, `rejected`, each a text or a list of messages; the sides may repeat the
      prompt;
    - `chosen`, `rejected` that begin with the same messages, or the same text: that is the prompt;
    - distilabel's `task`, `student_solution` (rejected), `revision` (chosen).

    Columns that would change what a model is asked, and that nothing reads (`tools`, `images`,
    `chat_template_kwargs`, `history`, `system` without a system turn), are refused unless `columns`
    says what they are; so is a column that could be the prompt where there is no `prompt`.

    `id`, `rationale` (or `rational`), `source`, `scores` and `provenance` are read when there; a
    `source` that is none of ours goes to `provenance`; other columns are kept in `Pair.extra`.
    A row without `id` gets one computed from its content.

    Args:
        source: the file, folder or Hub id.
        skip_bad: count bad rows in `RowStream.skipped` instead of raising at the first.
        limit: stop after this many good rows; None reads all.
        columns: what the file's columns are, where they have other names.
        one_sided: take also rows with one side alone, see `clairkit.records.forms.to_pair`.

    Raises:
        DataError: the source is missing or in no accepted format; when iterated, a row is bad.
        UsageError: `limit` is below 1.
    """
    to_record = partial(to_pair, one_sided=one_sided)
    return read_rows(source, to_record, skip_bad=skip_bad, limit=limit, columns=columns)


def read_prompts(
    source: str | os.PathLike[str],
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    columns: ColumnChoice = AS_NAMED,
) -> RowStream[PromptRow]:
    """Return the prompt rows of a source, in its order, as a stream; sources as in `read_pairs`.

    A row has `prompt` (a text or a list of messages), optionally `answer` (the target model's
    own, a text) and `id`; other columns are kept in `PromptRow.extra`.

    Args:
        source: the file, folder or Hub id.
        skip_bad: count bad rows in `RowStream.skipped` instead of raising at the first.
        limit: stop after this many good rows; None reads all.
        columns: what the file's columns are, where they have other names.

    Raises:
        DataError: the source is missing or in no accepted format; when iterated, a row is bad.
        UsageError: `limit` is below 1.
    """
    return read_rows(source, to_prompt, skip_bad=skip_bad, limit=limit, columns=columns)


def read_rows(
    source: str | os.PathLike[str],
    to_record: Callable[[JsonObject], Record],
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    columns: ColumnChoice = AS_NAMED,
) -> RowStream[Record]:
    """Return what `to_record` makes of the rows of a source, as `read_pairs` does for pairs.

    Args:
        source: the file, folder or Hub id.
        to_record: raises `RowFault` for a bad row.
        skip_bad: count bad rows instead of raising at the first.
        limit: stop after this many good rows; None reads all.
        columns: what the file's columns are, where they have other names.
    """
    found = replace(find_source(source), ignore=columns.ignore)
    rows = partial(_READERS[found.kind], found)

    def convert(row: JsonObject) -> Record:
        return to_record(columns.apply(row))

    to_named = convert if columns else to_record
    return RowStream(found.path, rows, to_named, skip_bad=skip_bad, limit=limit)


def located_rows(source: str | os.PathLike[str] | Source) -> Iterator[Located]:
    """Yield each row of a source as it stands there with its line, or what is wrong with it.

    Raises:
        DataError: the source is missing or in no accepted format.
    """
    found = source if isinstance(source, Source) else find_source(source)
    yield from _READERS[found.kind](found)
