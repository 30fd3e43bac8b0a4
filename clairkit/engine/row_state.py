"""Hold a row's program on its way through a run."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from clairkit.engine.program import Call
from clairkit.journal.results import Recorded


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
