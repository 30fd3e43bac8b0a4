"""Read messages in the forms of others: JSON text in a cell, ShareGPT's words, OpenAI's parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clairkit.records.faults import RowFault
from clairkit.records.formats.strict_json import STRICT, check_depth, is_empty, too_deep
from clairkit.records.json_types import JsonMapping

_MESSAGES = re.compile(r'\s*\[\s*\{\s*"(role|content|from|value)"\s*:')
_REPR = re.compile(r"\s*\[\s*\{\s*'(?:role|content|from|value)'\s*:")
_SHAREGPT = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
}
_TEXT_PARTS = ("text", "input_text", "output_text")
_FIELDS = frozenset(("role", "content", "from", "value"))
_REMEDIES = {
    "tool_calls": "calls of tools are not read: write what the model is to say into `content`",
    "function_call": "calls of tools are not read: write what the model is to say into `content`",
    "reasoning_content": "thoughts would be dropped: remove them, or write them into `content` "
    "within the model's own marks",
}
_REMEDIES["reasoning"] = _REMEDIES["thinking"] = _REMEDIES["reasoning_content"]


def opened(value: object, column: str) -> Any:
    """Return the messages that a cell holds as JSON text or as one object; else the cell.

    Raises:
        RowFault: `bad_json`: it begins like messages and is not JSON.
    """
    if not isinstance(value, str):
        return [value] if isinstance(value, dict) and _is_message(value) else value
    if _REPR.match(value):
        problem = f"column `{column}` holds messages in Python's notation, not in JSON"
        remedy = "write the column with json.dumps, or the table as JSONL or Parquet"
        raise RowFault("bad_json", problem, received=value, remedy=remedy)
    begins = _MESSAGES.match(value)
    if begins is None:
        return value
    in_ours = begins[1] in ("role", "content")
    try:
        found = STRICT.decode(value.strip())
    except RecursionError:
        raise too_deep() from None
    except ValueError as error:
        if not in_ours:
            return value
        problem = f"column `{column}` begins like messages and is not JSON ({error})"
        raise RowFault("bad_json", problem, received=value) from None
    check_depth(found)
    return found if in_ours or any(map(_is_message, found)) else value


def _is_message(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    return _is_sharegpt(value) or ("role" in value and "content" in value)


def _is_sharegpt(turn: JsonMapping) -> bool:
    return "value" in turn and isinstance(turn.get("from"), str) and turn["from"] in _SHAREGPT


def named_as_ours(turn: JsonMapping) -> JsonMapping:
    """Return a turn of ShareGPT's form, `from` and `value`, under our names; others as they are."""
    if "role" in turn or not _is_sharegpt(turn):
        return turn
    rest = {name: value for name, value in turn.items() if name not in _FIELDS}
    return {"role": _SHAREGPT[turn["from"]], "content": turn["value"], **rest}


def check_fields(turn: JsonMapping, place: str) -> None:
    """Refuse a turn that says more than its role and its content.

    Raises:
        RowFault: `not_text`.
    """
    more = [name for name, value in turn.items() if name not in _FIELDS and not is_empty(value)]
    if not more:
        return
    problem = f"`{place}` has more than role and content: {', '.join(map(str, more))}"
    usual = "keep only messages of plain text (no tool calls, images or names)"
    remedy = next((_REMEDIES[name] for name in more if name in _REMEDIES), usual)
    raise RowFault("not_text", problem, remedy=remedy)


def text_of_parts(content: object, place: str) -> Any:
    """Return the text of a content that is a list of text parts; other contents as they are.

    Raises:
        RowFault: `not_text`: a part is not text.
    """
    if not isinstance(content, Sequence) or isinstance(content, str) or not content:
        return content
    if not all(isinstance(part, Mapping) for part in content):
        return content
    for part in content:
        if part.get("type") not in _TEXT_PARTS or not isinstance(part.get("text"), str):
            kind = part.get("type")
            problem = f"the content of `{place}` has a part that is not text"
            raise RowFault(
                "not_text", problem, received=str(kind), remedy="take rows of text alone"
            )
    return "".join(part["text"] for part in content)
