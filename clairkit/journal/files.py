"""Find and read the files of an output as plain rows, and tell what a pair was made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.journal.manifest import quarantine_path
from clairkit.journal.results import journal_path
from clairkit.records import check_rows_output, write_rows
from clairkit.records.faults import Located, RowFault
from clairkit.records.formats.arrow_rows import folder_rows, parquet_rows
from clairkit.records.formats.json_file import json_lines
from clairkit.records.json_types import JsonObject
from clairkit.records.source import Kind, Source, find_source
from clairkit.records.temporary import restore

Row = JsonObject

_READERS: dict[Kind, Callable[[Source], Iterator[Located]]] = {
    "jsonl": json_lines,
    "parquet": parquet_rows,
    "folder": folder_rows,
}

ROOM_BESIDE = 32
"""Bytes that the names of the files beside an output add to its own, `.journal.sqlite-wal` most."""


def rows_of(path: Path) -> Iterator[Row]:
    """Yield the rows of a file that clairkit wrote, as they are; none for an empty one.

    Raises:
        DataError: it is missing, or a row is damaged.
        UsageError: it is in a form that clairkit does not write.
    """
    source = find_source(path)
    if source.kind not in _READERS:
        raise UsageError(
            "not a form that pairs are written in",
            received=path.name,
            remedy="give .jsonl, .jsonl.gz, .parquet or a `datasets` folder",
        )
    for line, row in _READERS[source.kind](source):
        if isinstance(row, RowFault):
            raise row.to_error(str(path), line)
        yield row


def pairs_of(output: Path) -> Iterator[Row]:
    """Yield the pairs of an output, as they are; after an edit by hand they may be anything.

    Raises:
        DataError: a row is not a pair that build-pairs wrote, or as in `rows_of`.
    """
    return _checked(output, _is_pair, "is not a pair that build-pairs wrote")


def set_aside(output: Path) -> Iterator[Row]:
    """Yield the rows of an output that became no pair; none where there is no such file.

    Raises:
        DataError: a row was not written by build-pairs, or as in `rows_of`.
    """
    path = quarantine_path(output)
    if not path.exists():
        return iter(())
    return _checked(path, _is_set_aside, "is not a row that build-pairs set aside")


def _checked(path: Path, is_ours: Callable[[Row], bool], problem: str) -> Iterator[Row]:
    for number, row in enumerate(rows_of(path), 1):
        if not is_ours(row):
            raise DataError(
                f"row {number} {problem}",
                path=path,
                remedy="run build-pairs once more, or put back the file as it was",
            )
        yield row


def _is_pair(row: Row) -> bool:
    provenance = row.get("provenance")
    steps = provenance.get("steps", []) if isinstance(provenance, dict) else None
    return (
        _has_texts(row, "id", "source")
        and all(_is_said(row.get(side)) for side in ("prompt", "chosen", "rejected"))
        and isinstance(steps, list)
        and all(isinstance(step, dict) and _has_texts(step, "step", "key") for step in steps)
    )


def _is_set_aside(row: Row) -> bool:
    return _has_texts(row, "id", "reason", "detail") and _is_said(row.get("prompt"))


def _is_said(turns: object) -> bool:
    return (
        isinstance(turns, list)
        and bool(turns)
        and all(isinstance(turn, dict) and _has_texts(turn, "role", "content") for turn in turns)
    )


def _has_texts(row: Row, *names: str) -> bool:
    return all(isinstance(row.get(name), str) for name in names)


def find_output(given: str | None) -> Path:
    """Return the pair file or folder that is meant: the given one, or the only one here.

    Raises:
        DataError: there is none, or several are here and none is given.
    """
    if given is not None:
        path = Path(given)
        restore(path.resolve())
        if not path.exists() and journal_path(path).exists():
            raise DataError(
                "there is a journal and no pairs: the run was cut short",
                path=given,
                remedy="run build-pairs once more",
            )
        if not path.exists():
            raise DataError("no such file", path=given, remedy="name what build-pairs wrote")
        return path
    end = ".journal.sqlite"
    here = sorted(path.name.removesuffix(end) for path in Path().glob(f"*{end}"))
    if len(here) != 1:
        found = f"{len(here)} outputs of build-pairs are in this folder"
        raise DataError(
            found, received=excerpt(", ".join(here)) or None, remedy="name the pair file"
        )
    restore(Path(here[0]).resolve())
    return Path(here[0])


def without(path: Path, drop: Callable[[Row], bool]) -> int:
    """Write a file again without some of its rows; the others stay byte for byte in JSONL.

    Returns:
        How many were dropped. When none was, the file is left alone.
    """
    dropped = sum(1 for row in rows_of(path) if drop(row))
    if dropped:
        write_rows(path, (row for row in rows_of(path) if not drop(row)), force=True)
    return dropped


def output_path(output: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Return the path of a pair file that may be written, links followed.

    An output that has a journal is one of ours, and is written anew without `force`.

    Raises:
        UsageError: it can't be a pair file, or is there without a journal and `force` is not given.
        ResourceError: its folder cannot be written to.
    """
    path = check_rows_output(output, force=True, room=ROOM_BESIDE)
    return check_rows_output(output, force=force or journal_path(path).exists(), room=ROOM_BESIDE)


def row_of(pair: Row) -> str:
    """Return the id of the prompt row that a pair was made from; its own where that is unknown."""
    provenance = pair.get("provenance")
    row_id = provenance.get("row") if isinstance(provenance, dict) else None
    return row_id if isinstance(row_id, str) else str(pair["id"])


def answer_of(pair: Row) -> str:
    """Return the answer that a pair was made from: the rejected side, or with `worsen` the other.

    A pair that a judge chose is made from several; this is the worse one.
    """
    return last_text(pair["chosen" if is_worsened(pair) else "rejected"])


def is_worsened(pair: Row) -> bool:
    """Whether the chosen side is the answer, and the rejected one a worsened copy of it."""
    return (pair.get("provenance") or {}).get("worsen") is True


def last_text(messages: list[JsonObject]) -> str:
    """Return the text of the last turn."""
    return str(messages[-1]["content"])
