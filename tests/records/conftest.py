"""Rows that the tests of records share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]
WriteLines = Callable[..., Path]


@pytest.fixture
def good_row() -> Callable[[int], Row]:
    """Returns a maker of distinct good pair rows."""

    def make(number: int = 0) -> Row:
        return {"prompt": f"What is {number}?", "chosen": f"It is {number}.", "rejected": "No."}

    return make


@pytest.fixture
def jsonl(tmp_path: Path) -> WriteLines:
    """Returns a writer of lines (objects, texts or bytes) to a file in the test's folder."""

    def write(lines: Iterable[Row | str | bytes], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            for line in lines:
                if isinstance(line, bytes):
                    file.write(line)
                else:
                    text = line if isinstance(line, str) else json.dumps(line)
                    file.write(text.encode() + b"\n")
        return path

    return write
