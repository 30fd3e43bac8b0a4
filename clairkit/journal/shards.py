"""Split a prompt file for several machines, and tell where each row stands in the whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from clairkit.display import excerpt
from clairkit.errors import UsageError
from clairkit.records import PromptRow

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Shard:
    """Every `count`-th row, beginning with row `number`; can be iterated as often as `rows` can.

    `number` is from 1 to `count`. Shards of one file, built with the same settings, merge into
    what one run over the whole file gives: see `clairkit.audit.merge`.
    """

    rows: Iterable[PromptRow]
    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(
                "there is no such shard",
                received=f"{self.number}/{self.count}",
                remedy="number shards from 1/N to N/N",
            )

    def __iter__(self) -> Iterator[PromptRow]:
        return islice(iter(self.rows), self.number - 1, None, self.count)

    @property
    def path(self) -> str:
        """Where the rows come from, for messages."""
        return str(getattr(self.rows, "path", ""))


def parse_shard(text: str) -> tuple[int, int]:
    """Return number and count of `I/N`.

    Raises:
        UsageError: it is not such a text.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise UsageError("not a shard", received=excerpt(text), remedy="write I/N, as in 1/4")
    return int(found[1]), int(found[2])


def placed(rows: Iterable[PromptRow]) -> Iterator[tuple[int, PromptRow]]:
    """Yield each row with its place, from 0, among all prompts."""
    if isinstance(rows, Shard):
        first, step = rows.number - 1, rows.count
        return ((first + step * at, row) for at, row in enumerate(rows))
    return enumerate(rows)
