"""Read rows of Arrow tables: Parquet files, `datasets` folders, data sets of the Hub."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import DataError, RemoteError
from clairkit.hub_access import check_hub_answers
from clairkit.records.faults import ROW_CAP, Located, RowFault
from clairkit.records.formats.lines import too_large
from clairkit.records.formats.strict_json import check_depth
from clairkit.records.json_types import JsonObject
from clairkit.records.messages import kind_of
from clairkit.records.source import Source, open_regular

_BATCH = 64  # rows; the largest accepted rows then still take about 1 GiB at most
_PRUNED = ("scores", "provenance")


def parquet_rows(source: Source) -> Iterator[Located]:
    """Yield the rows of a Parquet file with their numbers from 1.

    Raises:
        DataError: it is not a Parquet file, or is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    with open_regular(source.path) as file:
        if not file.read(1):
            return
        file.seek(0)
        try:
            batches = parquet.ParquetFile(file).iter_batches(batch_size=_BATCH)
            yield from batch_rows(batches, source.ignore)
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(source.path, error) from None


def folder_rows(source: Source) -> Iterator[Located]:
    """Yield the rows of a folder that `datasets` saved, with their numbers from 1.

    Of several splits none is chosen: the caller names one as FOLDER/SPLIT.

    Raises:
        DataError: it has several splits, or is damaged.
    """
    import datasets
    import pyarrow

    try:
        if _has_no_files(Path(source.path)):
            return
        data = datasets.load_from_disk(source.path)
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise _damaged(source.path, error) from None
    if isinstance(data, datasets.DatasetDict):
        remedy = f"name one, as {source.path}/SPLIT"
        data = data[only_split(list(data), source.path, remedy)]
    tables = data.with_format("arrow").iter(batch_size=_BATCH)
    yield from batch_rows(
        (batch for table in tables for batch in table.to_batches()), source.ignore
    )


def only_split(splits: list[str], path: str, remedy: str) -> str:
    """Return the one split there is.

    Raises:
        DataError: there are none or several.
    """
    if len(splits) == 1:
        return splits[0]
    raise DataError(
        f"has {len(splits)} splits", path=path, received=", ".join(splits) or None, remedy=remedy
    )


def _has_no_files(folder: Path) -> bool:
    """Whether it was saved without rows: `datasets` writes such a folder and can't open it."""
    state = folder / "state.json"
    found = json.loads(state.read_bytes()) if state.is_file() else None
    return isinstance(found, dict) and found.get("_data_files") == []


def batch_rows(batches: Iterable[Any], ignore: Sequence[str] = ()) -> Iterator[Located]:
    """Yield the rows of Arrow record batches as JSON values, with their numbers from 1."""
    number = 0
    for whole in batches:
        batch = whole.drop_columns([name for name in ignore if name in whole.schema.names])
        sizes_matter = batch.nbytes > ROW_CAP
        rows = None if sizes_matter else _all_rows(batch)
        for index in range(batch.num_rows):
            number += 1
            if rows is not None:
                yield number, plain_row(rows[index])
                continue
            one = batch.slice(index, 1)
            if one.nbytes > ROW_CAP:
                yield number, too_large()
            elif (single := _all_rows(one)) is None:
                yield number, RowFault("bad_unicode", "a text of the row is not UTF-8")
            else:
                yield number, plain_row(single[0])


def _all_rows(batch: Any) -> list[JsonObject] | None:
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        return None


def plain_row(row: JsonObject) -> JsonObject | RowFault:
    """Return `row` with values that JSON has a form for, or the fault that prevents it.

    NaN, which pandas writes for a missing number, becomes null; dates and times become ISO 8601,
    decimal numbers text. A struct has all its fields in every row: in `scores` and `provenance`
    those that are null count as absent.
    """
    try:
        check_depth(row)
        plain = {name: _plain(value, name) for name, value in row.items()}
    except RowFault as fault:
        return fault
    for name in _PRUNED:
        if plain.get(name) is not None:
            plain[name] = _without_nulls(plain[name])
    return plain


def _plain(value: object, column: str) -> Any:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            problem = f"column `{column}` holds an infinity"
            raise RowFault("bad_number", problem, remedy="write null")
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {name: _plain(member, column) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member, column) for member in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    problem = f"column `{column}` is neither text, number, list nor object but {kind_of(value)}"
    raise RowFault(
        "not_text",
        problem,
        remedy=f"drop the column, or leave it out with --ignore-column {column}",
    )


def _without_nulls(value: object) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_nulls(member) for name, member in value.items() if member is not None}


def _damaged(path: str, error: Exception) -> DataError:
    remedy = "write it again or copy it anew"
    return DataError(f"cannot be read ({excerpt(str(error), 120)})", path=path, remedy=remedy)


def hub_rows(source: Source) -> Iterator[Located]:
    """Yield the rows of a Hub data set with their numbers from 1; no code of its is run.

    Raises:
        DataError: there is no such data set or split, or it has several splits and none is named.
        RemoteError: the Hub did not answer.
    """
    name = f"hf://{source.path}"
    check_hub_answers(f"the data set {name}", cached=True)
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    try:
        data = datasets.load_dataset(source.path, streaming=True)
        rows = iter(_split(data, source, name))
        for number, row in enumerate(rows, 1):
            known = {key: value for key, value in row.items() if key not in source.ignore}
            yield number, plain_row(known)
    except DatasetNotFoundError as error:
        remedy = "check the name; for a gated data set set HF_TOKEN; for a file check its path"
        raise DataError(_short(error), path=name, remedy=remedy) from None
    except (OSError, RuntimeError, ValueError) as error:
        remedy = "check the network, or download it and give the file"
        raise RemoteError(f"{name} cannot be read: {_short(error)}", remedy=remedy) from None


def _split(data: Any, source: Source, name: str) -> Any:
    splits = [str(split) for split in data]
    if source.split is None:
        return data[only_split(splits, name, f"name one, as {name}:SPLIT")]
    if source.split not in splits:
        remedy = f"use one of {', '.join(splits)}"
        raise DataError("no such split", path=name, received=source.split, remedy=remedy)
    return data[source.split]


def _short(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return excerpt(lines[0], 160)
