"""Compare values of a configuration with the annotated types of their keys."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import Any, Literal


def fits(value: object, hint: Any) -> bool:
    """Return whether a value as YAML has it is of an annotated type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is Literal:
        return value in args
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is not None and issubclass(origin, Sequence):
        return isinstance(value, list | tuple) and all(fits(item, args[0]) for item in value)
    return isinstance(value, dict if origin is not None else hint)


def type_name(hint: Any) -> str:
    """Return an annotated type as a message names it."""
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    text = str(hint) if typing.get_origin(hint) else getattr(hint, "__name__", str(hint))
    return text.replace("typing.", "").replace("collections.abc.", "")
