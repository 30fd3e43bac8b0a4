"""Settle where the output of a run goes before anything is asked of a model."""

from __future__ import annotations

import os
from pathlib import Path

from clairkit.journal.results import journal_path
from clairkit.records import check_rows_output

ROOM_BESIDE = 32
"""Bytes that the names of the files beside an output add to its own, `.journal.sqlite-wal` most."""


def output_path(output: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Return the path of a pair file that may be written, links followed.

    An output that has a journal is one of ours, and is written anew without `force`.

    Raises:
        UsageError: it can't be a pair file, or is there without a journal and `force` is not given.
        ResourceError: its folder cannot be written to.
    """
    path = check_rows_output(output, force=True, room=ROOM_BESIDE)
    return check_rows_output(output, force=force or journal_path(path).exists(), room=ROOM_BESIDE)
