"""Describe what is wrong with one row: a reason code, a sentence, and the text that caused it."""

from __future__ import annotations

from clairkit.display import excerpt
from clairkit.errors import DataError
from clairkit.records.json_types import JsonObject

SKIP = "skip bad rows with --skip-bad"
"""How a row that is at fault can be left out; in Python `skip_bad=True`."""

ROW_CAP = 16 * 2**20
"""The most bytes one row may take: 16 MiB. A longer row is a fault named `too_large`."""


class RowFault(Exception):
    """One bad row. A reader raises it as a `DataError`, or counts it when bad rows are skipped.

    Args:
        reason: the code under which it is counted, such as `bad_json` or `missing_column`.
        problem: what was wrong, a sentence without a final full stop.
        received: the text or value that caused it, as it came.
        remedy: what to do about it, in the imperative.
    """

    def __init__(
        self, reason: str, problem: str, *, received: object = None, remedy: str | None = None
    ) -> None:
        super().__init__(problem)
        self.reason = reason
        self.problem = problem
        self.received = received
        self.remedy = remedy

    def to_error(self, path: str, line: int) -> DataError:
        """Return the error that names the place; it shows 80 safe characters of what came."""
        received = self.received
        if received is not None and not isinstance(received, int | float | bool):
            received = excerpt(received if isinstance(received, str) else type(received).__name__)
        remedy = self.remedy or f"correct the row, or {SKIP}"
        return DataError(
            f"{self.reason}: {self.problem}", path=path, line=line, received=received, remedy=remedy
        )


Located = tuple[int, "JsonObject | RowFault"]
"""A line number (for tables a row number, from 1) and the row there, or what is wrong with it."""
