"""Write votes as a table for spreadsheets: with a mark of the encoding, and no cell a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from clairkit.records.json_types import JsonMapping, JsonObject

_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
_NESTED = ("prompt", "names", "sample", "rater_flags", "rater_checks")


def to_csv(rows: Sequence[JsonMapping]) -> bytes:
    """Return rows of votes as CSV in UTF-8 with a mark; the prompt as text, its last turn."""
    flat = [_flat(row) for row in rows]
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    names = list(flat[0]) if flat else ["id"]
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in flat)
    return file.getvalue().encode("utf-8-sig")


def _flat(row: JsonMapping) -> JsonObject:
    plain = {name: value for name, value in row.items() if name not in _NESTED}
    return {
        "id": plain.pop("id"),
        "prompt": row["prompt"][-1]["content"],
        **dict(zip(("a_name", "b_name"), row.get("names", ()), strict=False)),
        **plain,
        "rater_flags": " ".join(row["rater_flags"]),
    }


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
