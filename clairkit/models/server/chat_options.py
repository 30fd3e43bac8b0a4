"""Say for each role how conversations are rendered, as the user wants it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from clairkit.batching.chat_settings import ChatSettings
from clairkit.errors import UsageError
from clairkit.records.json_types import JsonMapping

_ROLE = re.compile(r"([a-z]+(?:\.[0-9]+)?)=")
_EXAMPLE = "write {enable_thinking: false}, or target={enable_thinking: false} for one role"


def parse_chat(
    given: Sequence[str], roles: Collection[str], *, fold_system: bool = False
) -> dict[str, ChatSettings]:
    """Return chat settings by role, "" for all roles.

    Args:
        given: texts `[ROLE=]MAPPING` in YAML, as `{enable_thinking: false}`.
        roles: that there are.
        fold_system: whether system turns become a part of the first user turn, for all roles.

    Raises:
        UsageError: a text is not a mapping, or names no role, or one twice.
    """
    found: dict[str, ChatSettings] = {}
    if fold_system:
        found[""] = ChatSettings(fold_system=True)
    seen: set[str] = set()
    for text in given:
        match = _ROLE.match(text)
        role = match[1] if match else ""
        if role and role not in roles:
            raise UsageError("no such role", received=role, remedy=f"use {', '.join(roles)}")
        if role in seen:
            raise UsageError(
                "chat template arguments are given twice for one role",
                received=role or "all roles",
                remedy="give one mapping",
            )
        seen.add(role)
        settings = ChatSettings(_mapping(text[match.end() :] if match else text))
        found[role] = settings.over(found.get(role, ChatSettings()))
    return found


def _mapping(text: str) -> JsonMapping:
    from clairkit.records.formats.yaml_file import YamlProblem, json_values, load_yaml

    try:
        value = json_values(load_yaml(text))
    except YamlProblem:
        value = None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UsageError("not a mapping of chat template arguments", received=text, remedy=_EXAMPLE)
    return value
