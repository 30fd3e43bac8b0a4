"""Tell what a pair was made from: its prompt row, and the answer that was revised."""

from __future__ import annotations

from clairkit.journal.files import Row
from clairkit.records.json_types import JsonObject


def row_of(pair: Row) -> str:
    """Return the id of the prompt row that a pair was made from; its own where that is unknown."""
    provenance = pair.get("provenance")
    row_id = provenance.get("row") if isinstance(provenance, dict) else None
    return row_id if isinstance(row_id, str) else str(pair["id"])


def answer_of(pair: Row) -> str:
    """Return the answer that a pair was made from: the rejected side, or with `worsen` the other.

    A pair that a judge chose is made from several; this is the worse one.
    """
    return last_text(pair["chosen" if is_worsened(pair) else "rejected"])


def is_worsened(pair: Row) -> bool:
    """Whether the chosen side is the answer, and the rejected one a worsened copy of it."""
    return (pair.get("provenance") or {}).get("worsen") is True


def last_text(messages: list[JsonObject]) -> str:
    """Return the text of the last turn."""
    return str(messages[-1]["content"])
