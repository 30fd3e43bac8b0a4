"""Stream the rows of a data set on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import DataError, RemoteError
from clairkit.hub_access import check_hub_answers
from clairkit.records.faults import Located
from clairkit.records.formats.arrow_rows import only_split, plain_row
from clairkit.records.source import Source


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
