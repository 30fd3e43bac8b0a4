"""Keep rows that wait for their turn on the disk: there may be more than memory should hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile

from clairkit.errors import ResourceError
from clairkit.records.json_types import JsonMapping, JsonObject

_IN_MEMORY = 2**23  # bytes; what is longer goes to the disk


class Spool:
    """Keeps rows as JSON has them, in a file without a name that ends with this object.

    Args:
        folder: where the file is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - closed by __exit__
            _IN_MEMORY, mode="w+", encoding="utf-8", newline="\n", dir=str(folder)
        )
        self._count = 0

    def add(self, row: JsonMapping) -> None:
        """Add a row.

        Raises:
            ResourceError: the disk is full, read-only, or not ours to write.
        """
        try:
            self._file.write(f"{json.dumps(row)}\n")
        except OSError as error:
            raise ResourceError(f"{self._folder}: can't be written to ({error.strerror})") from None
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[JsonObject]:
        """Yield the rows in the order in which they were added; all are there by now."""
        self._file.seek(0)
        return map(json.loads, self._file)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
