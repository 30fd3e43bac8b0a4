"""Read small texts that a user hands in as a file: templates and rubrics."""

from __future__ import annotations

from pathlib import Path

from clairkit.errors import DataError
from clairkit.records.formats.encodings import decoded

SIZE_CAP = 2**20
"""The most bytes of such a file."""


def read_text_file(path: Path, what: str) -> str:
    """Return the text of a user's file, without a byte order mark.

    Args:
        path: the file.
        what: what it is to be, for errors.

    Raises:
        DataError: it can't be read, is larger than 1 MiB, or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_CAP + 1)
        text = decoded(path, content)
    except OSError as error:
        raise DataError(
            f"the {what} can't be read ({error.strerror or error})",
            path=path,
            remedy="give a file of UTF-8 text",
        ) from None
    if len(content) > SIZE_CAP:
        raise DataError(f"the {what} is larger than 1 MiB", path=path)
    return text.replace("\r\n", "\n")
