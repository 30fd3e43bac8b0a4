"""Counts of work, for tests of speed that a busy machine can't break."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import TypeVar

import pytest
from rapidfuzz.distance import Indel

Result = TypeVar("Result")


def counted_calls(work: Callable[[], Result]) -> tuple[Result, int]:
    """Run `work`; return its result and how many functions were called in it, C's among them."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        result = work()
    finally:
        sys.setprofile(before)
    return result, calls


def count_cells(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the product of both lengths for each exact alignment from now on."""
    cells: list[int] = []

    def opcodes(first: str, second: str) -> object:
        cells.append(len(first) * len(second))
        return Indel.opcodes(first, second)

    monkeypatch.setattr("clairkit.scoring.blocks.Indel", SimpleNamespace(opcodes=opcodes))
    return cells
