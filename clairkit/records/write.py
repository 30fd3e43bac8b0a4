"""Write records whole or not at all, never over a file that must not be lost."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.records.formats.strict_json import dump_line
from clairkit.records.json_types import JsonMapping
from clairkit.records.output import (
    NAME_BYTES,
    OutputPath,
    atomic_folder,
    atomic_write,
    check_output,
)
from clairkit.records.schema import Pair

_ACCEPTED = ".jsonl, .jsonl.gz, .parquet, or no suffix for a `datasets` folder"
_LEVEL = 6  # of gzip, as its command line has it


def write_pairs(path: OutputPath, pairs: Iterable[Pair], *, force: bool = False) -> int:
    """Write `pairs` in their order; see `write_rows`. The file goes into TRL as it is."""
    return write_rows(path, (pair.to_json() for pair in pairs), force=force)


def write_rows(path: OutputPath, rows: Iterable[JsonMapping], *, force: bool = False) -> int:
    """Write `rows` to a file and return how many they were.

    The suffix decides: `.jsonl` and `.jsonl.gz` are streamed, a row at a time; `.parquet` and,
    without a suffix, a folder for `datasets.load_from_disk` hold all rows in memory first.
    The file appears when it is complete; until then, and after any error, an earlier one stands.

    Raises:
        UsageError: the path cannot be written to, or exists and `force` is not given.
        DataError: a row holds what the format has no form for.
        ResourceError: the disk is full, read-only, or not ours to write.
    """
    write = _writer(path)
    return write(check_output(path, force=force), rows)


def check_rows_output(path: OutputPath, *, force: bool = False, room: int = 0) -> Path:
    """Return the path that rows will be written to: as `check_output`, and its suffix is known.

    For what is to be known before the work that makes the rows.

    Args:
        path: the path, as the user gave it.
        force: it may exist.
        room: the bytes that are appended to its name for files that stand beside it.

    Raises:
        UsageError: as `check_output`, or for a suffix of another kind, or too long a name.
        ResourceError: the folder cannot be written to.
    """
    final = check_output(path, force=force)
    _writer(final)
    if len(os.fsencode(final.name)) > NAME_BYTES - room:
        raise UsageError(
            "the output's name leaves no room for those of the files beside it",
            received=excerpt(final.name),
            remedy=f"use at most {NAME_BYTES - room} bytes",
        )
    return final


def _writer(path: OutputPath) -> Callable[[Path, Iterable[JsonMapping]], int]:
    name = Path(path).name.lower()
    for suffix, writer in _WRITERS.items():
        if name.endswith(suffix):
            return writer
    if not Path(path).suffix:
        return _write_folder
    raise UsageError("unknown kind of output file", received=name, remedy=f"use {_ACCEPTED}")


def _write_jsonl(path: Path, rows: Iterable[JsonMapping]) -> int:
    with atomic_write(path) as file:
        return _write_lines(file, path, rows)


def _write_gzip(path: Path, rows: Iterable[JsonMapping]) -> int:
    # Without name and time in its header, the same rows give the same bytes.
    with (
        atomic_write(path) as file,
        gzip.GzipFile(
            filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0
        ) as zipped,
    ):
        return _write_lines(cast(BinaryIO, zipped), path, rows)


def _write_lines(file: BinaryIO, path: Path, rows: Iterable[JsonMapping]) -> int:
    number = 0
    for number, row in enumerate(rows, 1):
        try:
            line = dump_line(row)
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"row {number} has no form in JSON ({error})", path=path) from None
        file.write(line)
    return number


def _write_parquet(path: Path, rows: Iterable[JsonMapping]) -> int:
    from pyarrow import parquet

    table = _table(path, rows)
    with atomic_write(path) as file, _no_form(path):
        parquet.write_table(table, file, compression="zstd")
    return int(table.num_rows)


def _write_folder(path: Path, rows: Iterable[JsonMapping]) -> int:
    import datasets

    table = _table(path, rows)
    with atomic_folder(path, marker="dataset_info.json") as folder, _no_form(path):
        data = datasets.Dataset(datasets.table.InMemoryTable(table))
        with _no_bars():
            data.save_to_disk(folder)
    return int(table.num_rows)


def _table(path: Path, rows: Iterable[JsonMapping]) -> Any:
    import pyarrow

    held = list(rows)
    arrays = {}
    for name in dict.fromkeys(name for row in held for name in row):
        with _no_form(path, name):
            arrays[name] = pyarrow.array([row.get(name) for row in held])
    return pyarrow.table(arrays)


@contextmanager
def _no_bars() -> Iterator[None]:
    """`datasets` draws bars whether or not the caller is quiet."""
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


@contextmanager
def _no_form(path: Path, column: str | None = None) -> Iterator[None]:
    """Turn what Arrow cannot hold into a `DataError` that names the column."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, UnicodeEncodeError, OverflowError) as error:
        what = f"column `{column}`" if column else "a column"
        problem = f"{what} has no form in Arrow ({error})"
        raise DataError(problem, path=path, remedy="write .jsonl instead") from None


_WRITERS: dict[str, Callable[[Path, Iterable[JsonMapping]], int]] = {
    ".jsonl": _write_jsonl,
    ".jsonl.gz": _write_gzip,
    ".parquet": _write_parquet,
}
