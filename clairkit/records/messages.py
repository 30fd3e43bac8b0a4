"""Read messages and texts, ours and of others: known roles, text only, nothing dropped silently."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

from clairkit.errors import nearest
from clairkit.records.faults import SKIP, RowFault
from clairkit.records.formats.strict_json import STRICT, check_depth, is_empty, too_deep
from clairkit.records.json_types import JsonMapping
from clairkit.records.schema import ROLES, Message

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
_KNOWN = frozenset(("role", "content", "from", "value"))
_REMEDIES = {
    "tool_calls": "calls of tools are not read: write what the model is to say into `content`",
    "function_call": "calls of tools are not read: write what the model is to say into `content`",
    "reasoning_content": "thoughts would be dropped: remove them, or write them into `content` "
    "within the model's own marks",
}
_REMEDIES["reasoning"] = _REMEDIES["thinking"] = _REMEDIES["reasoning_content"]

_FIELDS: Set[str] = frozenset(("role", "content"))
_ROLE_WORDS = {
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "function": "tool",
}
Messages = tuple[Message, ...]


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
    rest = {name: value for name, value in turn.items() if name not in _KNOWN}
    return {"role": _SHAREGPT[turn["from"]], "content": turn["value"], **rest}


def check_fields(turn: JsonMapping, place: str) -> None:
    """Refuse a turn that says more than its role and its content.

    Raises:
        RowFault: `not_text`.
    """
    more = [name for name, value in turn.items() if name not in _KNOWN and not is_empty(value)]
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


def text_of(value: object, column: str) -> str:
    """Return `value` when it is text that UTF-8 can hold.

    Raises:
        RowFault: `null_value`, `bad_type`, or `bad_unicode` (a lone surrogate, which no tokenizer
            accepts). NUL, control and bidirectional characters are text.
    """
    if value is None:
        raise RowFault("null_value", f"column `{column}` is null", remedy="give it a text")
    if not isinstance(value, str):
        raise RowFault("bad_type", f"column `{column}` must be text and is {kind_of(value)}")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            code = f"U+{ord(value[error.start]):04X}"
            remedy = f"remove that character, or {SKIP}"
            problem = f"column `{column}` holds the lone surrogate {code}"
            raise RowFault("bad_unicode", problem, remedy=remedy) from None
    return value


def turns_of(value: object, column: str, *, role: str) -> Messages:
    """Return the messages of a cell: a list of them, or a text that becomes one message of `role`.

    Raises:
        RowFault: the cell is neither, is empty, or has a message that is not plain text.
    """
    value = opened(value, column)
    if isinstance(value, str):
        return (Message(role=role, content=text_of(value, column)),)
    if value is None:
        raise RowFault("null_value", f"column `{column}` is null", remedy="give it a text")
    if not isinstance(value, list | tuple):
        problem = f"column `{column}` must be text or a list of messages and is {kind_of(value)}"
        raise RowFault("bad_type", problem)
    if not value:
        raise RowFault("empty_column", f"column `{column}` is an empty list of messages")
    return tuple(_message(turn, f"{column}[{index}]") for index, turn in enumerate(value))


def _message(turn: object, place: str) -> Message:
    if not isinstance(turn, Mapping):
        problem = f"`{place}` must be a message, an object of role and content"
        raise RowFault("bad_type", f"{problem}, and is {kind_of(turn)}")
    if turn.keys() != _FIELDS:  # nearly every turn is in our own form
        turn = named_as_ours(turn)
    role = turn.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise _bad_role(turn, place)
    if turn.keys() != _FIELDS:
        check_fields(turn, place)
    content = turn.get("content")
    if not isinstance(content, str):
        content = text_of_parts(content, place)
    if not isinstance(content, str):
        problem = f"the content of `{place}` must be text and is {kind_of(content)}"
        raise RowFault("not_text", problem, remedy="write its plain text as `content`")
    return Message(role=role, content=text_of(content, f"{place}.content"))


def _bad_role(turn: JsonMapping, place: str) -> RowFault:
    role = turn.get("role")
    if role is None and "from" in turn:
        remedy = "use system, human or gpt, or `role` and `content` in place of `from` and `value`"
        problem = f"`{place}` has an unknown speaker in `from`"
        return RowFault("bad_role", problem, received=str(turn["from"]), remedy=remedy)
    accepted = f"use one of {', '.join(ROLES)}"
    if not isinstance(role, str):
        return RowFault("bad_role", f"`{place}` has no role", remedy=accepted)
    meant = _ROLE_WORDS.get(role.lower()) or nearest(role.lower(), ROLES)
    remedy = f"did you mean {meant}? {accepted.capitalize()}" if meant else accepted
    return RowFault("bad_role", f"`{place}` has an unknown role", received=role, remedy=remedy)


def check_prompt(prompt: Messages) -> Messages:
    """Return `prompt` when it has some text and does not end with the assistant's turn.

    Raises:
        RowFault: it is blank, or ends with the assistant's turn.
    """
    if not any(turn["content"].strip() for turn in prompt):
        raise RowFault("empty_column", "column `prompt` is blank")
    if prompt[-1]["role"] == "assistant":
        remedy = "move the assistant's last turn to the answer column, or to both sides of the pair"
        raise RowFault("bad_role", "`prompt` ends with an assistant's turn", remedy=remedy)
    return prompt


def check_side(side: Messages, column: str) -> Messages:
    """Return `side` when it is what follows a prompt: its first and last turn the assistant's.

    Raises:
        RowFault: its first or last turn is another's.
    """
    for index in (0, len(side) - 1):
        role = side[index]["role"]
        if role != "assistant":
            problem = f"`{column}[{index}]` must be the assistant's turn and is the {role}'s"
            remedy = "let each side hold what follows the prompt, or the prompt and what follows it"
            raise RowFault("bad_role", problem, remedy=remedy)
    return side


def kind_of(value: object) -> str:
    """Return what `value` is, in JSON's words."""
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        tuple: "a list",
        dict: "an object",
    }
    return names.get(type(value), f"of type {type(value).__name__}")
