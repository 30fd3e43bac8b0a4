"""Parse JSON without its traps: no NaN, duplicate key, giant integer or bottomless nesting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from json import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

from clairkit.records.faults import SKIP, RowFault
from clairkit.records.json_types import JsonObject

MAX_DEPTH = 64
"""How deep arrays and objects may nest. Python's own tools fail somewhere below a thousand."""

_NAME_ARRAY = "put one object on each line; a file that is one array must be named .json"
_NESTING = frozenset((dict, list))

MAX_DIGITS = 309
"""The most digits of a number: a double holds no more. Far beyond that, Python refuses them."""


def parse_object(text: str) -> JsonObject:
    """Return the JSON object in `text`.

    Raises:
        RowFault: `bad_json` (no JSON, or no object), `torn_line` (it stops in the middle and has
            no line end), `too_deep`, `bad_number`, `duplicate_key`.
    """
    try:
        value = STRICT.decode(text)
    except RecursionError:
        raise too_deep() from None
    except JSONDecodeError as error:
        raise _not_json(text, error) from None
    if not isinstance(value, dict):
        raise not_an_object(value)
    # Counting is far cheaper than walking, and nearly every row has few brackets.
    if text.count("{") + text.count("[") > MAX_DEPTH:
        check_depth(value)
    return value


def check_depth(value: object) -> None:
    """Refuse a value that nests more than `MAX_DEPTH` deep.

    Raises:
        RowFault: it does.
    """
    level: list[Any] = [value] if type(value) in _NESTING else []
    for _ in range(MAX_DEPTH + 1):
        members = (parent.values() if type(parent) is dict else parent for parent in level)
        level = [child for all_of in members for child in all_of if type(child) in _NESTING]
        if not level:
            return
    raise too_deep()


def too_deep() -> RowFault:
    """Return the fault of a row that nests too deep."""
    return RowFault("too_deep", f"arrays and objects nest more than {MAX_DEPTH} deep")


def not_an_object(value: object) -> RowFault:
    """Return the fault of a row that is JSON but no object."""
    remedy = None
    if isinstance(value, list):
        remedy = _NAME_ARRAY
    kind = "an array" if isinstance(value, list) else "null" if value is None else "a single value"
    return RowFault("bad_json", f"a row must be a JSON object and this is {kind}", remedy=remedy)


def _not_json(text: str, error: JSONDecodeError) -> RowFault:
    at_end = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    if at_end and not text.endswith("\n"):
        remedy = f"the file was cut short; write it again, or {SKIP}"
        return RowFault(
            "torn_line", "the last line stops in the middle", received=text, remedy=remedy
        )
    problem = f"not JSON ({error.msg}, column {error.colno})"
    hint = _NAME_ARRAY if text.lstrip().startswith("[") else None
    return RowFault("bad_json", problem, received=text, remedy=hint)


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowFault("duplicate_key", "an object has the same key twice", received=twice)
    return made


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise RowFault("bad_number", f"an integer of {len(digits)} digits", received=digits)
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise RowFault("bad_number", "a number too large for a double", received=digits)
    return number


def _constant(name: str) -> NoReturn:
    remedy = "JSON has no such number; write null"
    raise RowFault("bad_number", f"{name} is not JSON", received=name, remedy=remedy)


STRICT = JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
LENIENT = JSONDecoder(parse_int=str, parse_float=str)
"""Finds the end of a value that `STRICT` refused."""


_EMPTY_TEXTS = frozenset(("", "[]", "{}", "null", "none", "nan"))


def is_empty(value: object) -> bool:
    """Whether a value says nothing: null, no members, or only null ones."""
    if isinstance(value, str):
        return value.strip().lower() in _EMPTY_TEXTS
    if isinstance(value, Mapping):
        return all(is_empty(member) for member in value.values())
    return value is None or (isinstance(value, list | tuple) and not value)


def dump_line(row: object) -> bytes:
    """Return `row` as one JSON line in UTF-8, keys in their order, line end included.

    Characters stand as they are. A lone surrogate, which UTF-8 cannot hold, stands as its `\\u`
    escape, so that reading gives the same text.

    Raises:
        ValueError: `row` holds NaN or an infinity.
        TypeError: `row` holds something that JSON has no form for.
    """
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"
