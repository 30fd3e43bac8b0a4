"""Check the messages and texts of a row: known roles, text only, nothing dropped silently."""

from __future__ import annotations

from collections.abc import Mapping, Set

from clairkit.errors import nearest
from clairkit.records.faults import SKIP, RowFault
from clairkit.records.foreign_messages import check_fields, named_as_ours, opened, text_of_parts
from clairkit.records.json_types import JsonMapping
from clairkit.records.schema import ROLES, Message

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
