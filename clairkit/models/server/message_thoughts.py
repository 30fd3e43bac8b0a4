"""Read thoughts that a server gives apart from the content of a message."""

from __future__ import annotations

from collections.abc import Mapping

from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import THOUGHT_FIELDS, join_thoughts


def message_thoughts(message: JsonMapping) -> str | None:
    """Return the thoughts in a message's own fields or in parts of its content; None for none.

    Several fields of one message hold the same text, as servers give it under an old and a new
    name: the first that has some counts.
    """
    fields = (_text(message.get(name)) for name in THOUGHT_FIELDS)
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    inside = (
        _text(part.get("thinking") or part.get("reasoning"))
        for part in parts
        if isinstance(part, Mapping)
    )
    return join_thoughts(next(filter(None, fields), None), *filter(None, inside))


def _text(value: object) -> str | None:
    """The text of a field: itself, or the texts of its parts."""
    if isinstance(value, str):
        return value or None
    if not isinstance(value, list):
        return None
    texts = [part.get("text") for part in value if isinstance(part, Mapping)]
    return "".join(text for text in texts if isinstance(text, str)) or None
