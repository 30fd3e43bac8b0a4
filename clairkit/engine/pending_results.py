"""Track which results a run waits for, so that each is asked for once, whoever needs it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from clairkit.engine.program import Call
from clairkit.journal.results import Journal, JournalEntry, Recorded
from clairkit.models.reasons import reason
from clairkit.models.sampling import Failure, Outcome


class Row:
    """The calls of a program's round, and the results that are there."""

    __slots__ = ("asked", "calls", "elsewhere", "missing", "parked", "program", "results")

    def __init__(self, program: Generator[Sequence[Call], Sequence[Recorded], Any]) -> None:
        self.program = program
        self.calls: Sequence[Call] = ()
        self.results: list[Recorded | None] = []
        self.missing = 0
        self.elsewhere = 0  # of the missing ones: calls of models elsewhere
        self.parked = False  # waits for local models only
        self.asked = False

    @property
    def found(self) -> list[Recorded]:
        return [result for result in self.results if result is not None]


Slot = tuple[Row, int]
"""A row, and for which of its calls it waits."""


class PendingResults:
    """The results that rows wait for, by key and step."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._slots: dict[tuple[str, str], list[Slot]] = {}
        self._attempts: dict[tuple[str, str], int] = {}  # before this run
        self._failed: set[tuple[str, str]] = set()  # in this run, and may pass in another

    def is_asked(self, call: Call) -> bool:
        """Whether the result is on its way."""
        return (call.task.key, call.step) in self._slots

    def find(self, call: Call) -> Recorded | None:
        """Return the result that the journal has; None when it is to be asked for."""
        place = (call.task.key, call.step)
        found = self._journal.latest(*place)
        if found is not None and (place in self._failed or not _may_pass(found.outcome)):
            return found
        self._attempts[place] = 0 if found is None else found.attempt
        return None

    def add(self, call: Call, slot: Slot) -> None:
        """Have a row wait for a result."""
        self._slots.setdefault((call.task.key, call.step), []).append(slot)

    def arrived(self, entry: JournalEntry) -> tuple[Recorded, list[Slot]]:
        """Return a result that is on the disk now, and the rows that wait for it."""
        place = (entry.key, entry.step)
        if _may_pass(entry.outcome):
            self._failed.add(place)
        return Recorded(self._attempts.pop(place) + 1, entry.outcome), self._slots.pop(place)


def _may_pass(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) and reason(outcome.reason).again
