"""Stream records: read again each time, and never held whole in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from clairkit.errors import DataError, UsageError
from clairkit.records.faults import SKIP, Located, RowFault
from clairkit.records.json_types import JsonObject


class Identified(Protocol):
    """What a row becomes: two of one source never have the same id."""

    @property
    def id(self) -> str: ...


Record = TypeVar("Record", bound=Identified)

_EXAMPLES = 5


class RowStream(Generic[Record]):
    """The records of a source. Each iteration opens it anew and starts the counts anew.

    Attributes:
        path: the source, as it was given.
        skipped: how many rows were skipped, by reason code; filled while iterating.
        examples: the first few bad rows, as `file:line: reason`.

    Iterating raises:
        DataError: a row is bad and bad rows are not skipped, two rows have the same id, or the
            source has no row at all, or no good one.
    """

    def __init__(
        self,
        path: str,
        rows: Callable[[], Iterator[Located]],
        convert: Callable[[JsonObject], Record],
        *,
        skip_bad: bool = False,
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise UsageError("the limit of rows must be at least 1", received=limit)
        self.path = path
        self.skipped: Counter[str] = Counter()
        self.examples: list[str] = []
        self._rows = rows
        self._convert = convert
        self._skip_bad = skip_bad
        self._limit = limit

    def __iter__(self) -> Iterator[Record]:
        self.skipped = Counter()
        self.examples = []
        seen = DigestSet()
        good = 0
        for line, row in self._rows():
            try:
                record = self._record(row, seen)
            except RowFault as fault:
                self._refuse(fault, line)
                continue
            good += 1
            yield record
            if good == self._limit:
                return
        if not good:
            raise self._nothing()

    def _record(self, row: JsonObject | RowFault, seen: DigestSet) -> Record:
        if isinstance(row, RowFault):
            raise row
        record = self._convert(row)
        if not seen.add(hash(record.id)):
            raise _duplicate(record.id, given=row.get("id") is not None)
        return record

    def _refuse(self, fault: RowFault, line: int) -> None:
        if not self._skip_bad:
            raise fault.to_error(self.path, line) from None
        self.skipped[fault.reason] += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{self.path}:{line}: {fault.reason}")

    def _nothing(self) -> DataError:
        if not self.skipped:
            return DataError(f"0 rows in {self.path}", remedy="check what wrote the file")
        counts = ", ".join(f"{count} {reason}" for reason, count in self.skipped.most_common())
        return DataError(
            f"0 good rows in {self.path}",
            received=counts,
            remedy="read it without --skip-bad to see the first one's fault",
        )


def _duplicate(name: str, *, given: bool) -> RowFault:
    if given:
        remedy = f"give each row its own id, or {SKIP}, which keeps the first"
        return RowFault(
            "duplicate_id", "an earlier row has the same id", received=name, remedy=remedy
        )
    remedy = f"remove the repeated row, or {SKIP}, which keeps the first"
    return RowFault("duplicate_id", "the row repeats an earlier one word for word", remedy=remedy)


class DigestSet:
    """A set of 64-bit digests in 12 to 24 bytes each; a Python set of ids takes over 100.

    Two different digests are never confused; two texts with the same digest would be. With ten
    million texts the chance of that is about one in 370,000.
    """

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * 1024))
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def add(self, digest: int) -> bool:
        """Add a digest, taken modulo 2**64; return False when it was there."""
        digest = digest % 2**64 or 1  # 0 marks an empty place
        place = self._place(digest)
        if self._table[place]:
            return False
        self._table[place] = digest
        self._used += 1
        if 3 * self._used > 2 * len(self._table):
            self._grow()
        return True

    def __contains__(self, digest: int) -> bool:
        digest = digest % 2**64 or 1
        return bool(self._table[self._place(digest)])

    def _place(self, digest: int) -> int:
        table = self._table
        mask = len(table) - 1
        place = digest & mask
        while table[place] and table[place] != digest:
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        old = self._table
        self._table = array("Q", bytes(2 * 8 * len(old)))
        for digest in old:
            if digest:
                self._table[self._place(digest)] = digest
