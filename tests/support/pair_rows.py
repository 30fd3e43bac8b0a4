"""Rows of pair files, and the files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def row(at: int, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    """Return a row of a pair file."""
    return {"id": f"row{at:05}", "prompt": "Why?", "chosen": chosen, "rejected": rejected, **more}


def write(path: Path, rows: Rows) -> str:
    """Write rows as JSONL and return the path."""
    text = "".join(json.dumps(each) + "\n" for each in rows)
    path.write_text(text, encoding="utf-8")
    return str(path)
