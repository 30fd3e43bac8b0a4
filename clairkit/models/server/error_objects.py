"""Read what a server says of an error: in a body of its own, or in one that has status 200."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clairkit.display import excerpt

# What names stand for where no number is given. By their beginnings, as each server has its own.
_STATUSES = {
    401: ("authentication", "invalid_api_key", "unauthenticated", "unauthorized"),
    402: ("insufficient_quota", "insufficient_balance", "billing"),
    403: ("permission", "forbidden"),
    404: ("model_not_found", "not_found"),
    408: ("timeout", "request_timeout", "deadline_exceeded"),
    429: ("rate_limit", "too_many_requests", "resource_exhausted", "throttl"),
    503: ("overloaded", "service_unavailable", "unavailable"),
    400: ("context_length_exceeded", "invalid_request", "invalid_argument", "bad_request"),
}


@dataclass(frozen=True)
class ServerError:
    """What a server says went wrong."""

    text: str = ""
    """Its message, safe to show."""
    codes: frozenset[str] = frozenset()
    """Its code, type and status, where they are words, in lower case."""
    status: int | None = None
    """The HTTP status that it stands for; None when it says none."""
    param: str = ""
    """The field of the request that it names."""


def read_error(body: object) -> ServerError:
    """Return what a body says that came with an unsuccessful status."""
    if isinstance(body, list) and len(body) == 1:  # as Gemini sends it
        body = body[0]
    error = (body.get("error") or body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return ServerError(excerpt(str(error), 300))
    given = [error.get(name) for name in ("code", "status", "type")]
    codes = frozenset(value.lower() for value in given if isinstance(value, str) and value)
    numbers = (re.fullmatch("[45][0-9]{2}", str(value)) for value in given)
    status = next((int(number[0]) for number in numbers if number), None) or _status_of(codes)
    return ServerError(error_text(error), codes, status, str(error.get("param") or ""))


def find_error(body: object) -> ServerError | None:
    """Return the error that a successful response holds: its own, its choice's or its message's."""
    if not isinstance(body, Mapping):
        return None
    if body.get("object") == "error":
        return read_error({"error": body})
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    for part in (body, choice, message):
        if isinstance(part, Mapping) and part.get("error"):
            return read_error(part)
    return None


def error_text(body: object) -> str:
    """Return the message of an error body, safe to show."""
    error = (body.get("error") or body) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("detail") or error.get("code") or error
    return excerpt(str(error), 300)


def _status_of(codes: frozenset[str]) -> int | None:
    for status, beginnings in _STATUSES.items():
        if any(code.startswith(beginnings) for code in codes):
            return status
    return None
