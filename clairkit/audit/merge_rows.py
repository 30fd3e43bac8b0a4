"""Merge the pairs and quarantined rows of several outputs, in the order of the prompts."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path

from clairkit.audit.merge_journals import MergedJournal
from clairkit.errors import DataError
from clairkit.journal.files import Row, pairs_of, set_aside
from clairkit.journal.pair_origin import answer_of, row_of
from clairkit.journal.row_index import reading
from clairkit.models.reasons import SAME_AS


class MergedRows:
    """Reads the files of all parts; first all of `pairs`, then `quarantined`.

    Args:
        parts: pair files or folders.
        journal: their merged journal; it says where each row stands.

    Attributes:
        flags: pairs by the flags they were kept with, once they were read.
    """

    def __init__(self, parts: Sequence[Path], journal: MergedJournal) -> None:
        self._parts = parts
        self._unsettled = journal.unsettled
        self._rows_by_pair: dict[str, str] = {}
        self._twins: dict[str, str] = {}  # a row that is a duplicate now -> the one that counts
        self._aside: list[tuple[int, Row]] = []
        self.flags: Counter[str] = Counter()
        self._stack = ExitStack()
        self._database: sqlite3.Connection = self._stack.enter_context(reading(journal.path))

    def pairs(self) -> Iterator[Row]:
        """Yield the pairs, each once; what came up as a duplicate is set aside."""
        streams = [self._pairs_of(index, part) for index, part in enumerate(self._parts)]
        for position, _, pair in heapq.merge(*streams, key=itemgetter(0, 1)):
            row = row_of(pair)
            first = self._rows_by_pair.setdefault(pair["id"], row)
            if first != row:
                self._twins[row] = first
                self._aside.append((position, _duplicate(pair, row, first)))
            elif row not in self._twins:
                self._twins[row] = row
                self.flags.update({flag["reason"] for flag in pair["provenance"].get("flags", ())})
                yield pair

    def quarantined(self) -> list[Row]:
        """Return the rows that became no pair."""
        seen = set(self._twins)
        for index, part in enumerate(self._parts):
            for row in set_aside(part):
                if (index, row["id"]) in self._unsettled or row["id"] in seen:
                    continue
                first = str(row["detail"]).removeprefix(SAME_AS)
                if row["reason"] == "duplicate":
                    row = {**row, "detail": SAME_AS + self._twins.get(first, first)}
                seen.add(row["id"])
                self._aside.append((self._position(row["id"], part), row))
        return [row for _, row in sorted(self._aside, key=itemgetter(0))]

    def _pairs_of(self, index: int, part: Path) -> Iterator[tuple[int, int, Row]]:
        for pair in pairs_of(part):
            row = row_of(pair)
            if (index, row) not in self._unsettled:
                yield self._position(row, part), index, pair

    def _position(self, row: str, part: Path) -> int:
        found = self._database.execute("SELECT position FROM rows WHERE id = ?", (row,)).fetchone()
        if found is None:
            raise DataError(
                "the journal does not know a row of the file",
                path=part,
                received=row,
                remedy="run build-pairs on it once more",
            )
        return int(found[0])

    def close(self) -> None:
        """Close the journal."""
        self._stack.close()


def _duplicate(pair: Row, row: str, first: str) -> Row:
    """The row of a quarantine file for a pair that an earlier row is already."""
    steps = pair["provenance"].get("steps")
    return {
        "id": row,
        "reason": "duplicate",
        "detail": SAME_AS + first,
        "step": steps[-1]["step"] if steps else "revise",
        "prompt": pair["prompt"],
        "answer": answer_of(pair),
    }
