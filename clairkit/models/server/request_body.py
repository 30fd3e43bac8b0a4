"""Build the body of a request: a user's own fields, without what a server does not take."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from clairkit.batching.chat_settings import ChatSettings
from clairkit.display import excerpt
from clairkit.errors import UsageError
from clairkit.models.server.response import ServerError
from clairkit.records.json_types import JsonMapping, JsonObject

_OURS = ("model", "messages", "stream", "n")
_SECRET = re.compile(r"(?i)(.*[-_])?(api[-_]?key|authorization|secret|password|credentials?)")
LIMITS = ("max_tokens", "max_completion_tokens")
"""What servers call the most tokens of a reply."""

_REFUSED = re.compile(
    r"(?i)unsupported|not supported|no longer supported|does not support|doesn't support|"
    r"unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|extra_forbidden|cannot both"
)
# In the order in which they are given up: first what changes least.
_GIVEN_UP = {
    "top_p": "replies are sampled with its own top_p, not {value}",
    "top_k": "replies are sampled with its own top_k, not {value}",
    "seed": "what it says can't be sampled again the same",
    "temperature": "replies are sampled at its own temperature, not at {value}",
}

_ROLE = re.compile(r"([a-z]+(?:\.[0-9]+)?)=")
_EXAMPLE = "write {enable_thinking: false}, or target={enable_thinking: false} for one role"


def parse_body(fields: Iterable[str]) -> JsonObject:
    """Return the fields of `FIELD=JSON` texts; what is not JSON is text.

    Raises:
        UsageError: one has no name, or a name that is not the user's to set.
    """
    found: JsonObject = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                "a field of the request needs its value",
                received=excerpt(field),
                remedy='write FIELD=JSON, such as reasoning_effort="low"',
            )
        try:
            found[name.strip()] = json.loads(value)
        except (ValueError, RecursionError):
            found[name.strip()] = value
    check_body(found)
    return found


def check_body(fields: JsonMapping) -> None:
    """Check the user's own fields of a request.

    Raises:
        UsageError: one is not the user's to set, or not JSON.
    """
    for name in fields:
        if name in _OURS:
            raise UsageError(
                f"the field {name} of a request is set by clairkit", remedy="leave it out"
            )
        if _SECRET.fullmatch(name) or _holds_secret(fields[name]):
            raise UsageError(
                f"the field {excerpt(name)} looks like a secret, and fields are kept",
                remedy="put the key into OPENAI_API_KEY",
            )
    try:
        json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError):
        raise UsageError(
            "a field of the request is not JSON",
            received=excerpt(repr(fields)),
            remedy="give numbers, texts, lists and mappings",
        ) from None


def _holds_secret(value: object) -> bool:
    """Whether a text within a field is named as a secret; a schema may have such names for none."""
    if isinstance(value, Mapping):
        return any(
            (isinstance(each, str) and bool(_SECRET.fullmatch(str(name)))) or _holds_secret(each)
            for name, each in value.items()
        )
    return isinstance(value, list) and any(map(_holds_secret, value))


def with_fields(body: JsonMapping, fields: JsonMapping) -> JsonObject:
    """Return a body with the user's own fields in place of ours; null takes one out."""
    replaced = {*fields, *(LIMITS if fields.keys() & set(LIMITS) else ())}
    kept = {name: value for name, value in body.items() if name not in replaced}
    return kept | {name: value for name, value in fields.items() if value is not None}


class Adaptation:
    """What a server turned out not to take, for the rest of a run.

    Args:
        fixed: the user's own fields, which are never changed.
    """

    def __init__(self, fixed: Iterable[str] = ()) -> None:
        self._fixed = frozenset(fixed)
        self._renamed: dict[str, str | None] = {}

    def apply(self, body: JsonMapping) -> JsonObject:
        """Return a body as the server takes it."""
        names = ((self._renamed.get(name, name), value) for name, value in body.items())
        return {name: value for name, value in names if name is not None}

    def learn(self, error: ServerError, sent: JsonMapping) -> str | None:
        """Take in why a request was refused.

        Returns:
            What to tell the user; empty when it is known already; None when nothing can be
            changed.
        """
        if not _REFUSED.search(" ".join((error.text, *error.codes))):
            return None
        for name in (*_GIVEN_UP, *LIMITS):
            is_meant = error.param == name or re.search(rf"(?<!\w){name}(?!\w)", error.text)
            if name in self._fixed or name not in sent or not is_meant:
                continue
            if name in self._renamed:
                return ""
            return self._change(name, sent[name])
        return None

    def _change(self, name: str, value: object) -> str | None:
        if name not in LIMITS:
            self._renamed[name] = None
            why = _GIVEN_UP[name].format(value=value)
            return f"takes no `{name}`: it is left out from now on, and {why}"
        other = LIMITS[1 - LIMITS.index(name)]
        if other in self._renamed or other in self._fixed:  # it takes neither
            return None
        self._renamed[name] = other
        return f"takes `{other}` in place of `{name}`: it is renamed from now on"


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
