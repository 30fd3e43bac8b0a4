"""Read from a chat completion what the model said, or why it said nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from clairkit.display import excerpt
from clairkit.models.sampling import Failure, Outcome, Reply
from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import THOUGHT_FIELDS, join_thoughts

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

Ending = Literal["stop", "length", "content_filter", "tool_call", "unknown"]
_NONE = frozenset(("none", "null"))
_PREFIXES = ("finish_reason_", "reason_")  # Gemini's and xAI's names over gRPC
_ROW_STATUSES = (400, 413)  # the request's own fault: asking again would not help


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


def read_ending(finish_reason: object) -> Ending:
    """Return what a `finish_reason` means, in whatever case it is written."""
    word = _word(finish_reason)
    return _endings().get(word, "unknown")


@cache
def _endings() -> dict[str, Ending]:
    from clairkit.records.formats.yaml_file import packaged

    found = packaged("models/server/assets/finish_reasons.yaml")
    return {word: ending for ending, lines in found.items() for line in lines for word in line}


def _word(finish_reason: object) -> str:
    if isinstance(finish_reason, Mapping):  # as SGLang has it inside
        finish_reason = finish_reason.get("type") or "untyped"
    if finish_reason is None:
        return ""
    word = str(finish_reason).partition(":")[0].strip().lower()
    word = word.replace("-", "_").replace(" ", "_")
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    return "" if word in _NONE else word


def read_completion(body: object, tries: int = 1, *, longest: int = 0) -> Outcome:
    """Return the reply in a decoded body, or a failure with its reason code.

    Args:
        body: of a response with status 200.
        tries: the requests that it took.
        longest: tokens that the reply may have, if known: one that takes them all was cut, even
            if the server gives no `finish_reason`.
    """
    if not isinstance(body, Mapping):
        return Failure("bad_response", "the body is not a JSON object", tries=tries)
    usage = body.get("usage")
    given = usage if isinstance(usage, Mapping) else {}
    outcome = replace(
        _outcome(body),
        prompt_tokens=_count(given.get("prompt_tokens")),
        completion_tokens=_count(given.get("completion_tokens")),
        tries=tries,
    )
    if isinstance(outcome, Reply) and 0 < longest <= outcome.completion_tokens:
        is_silent = body["choices"][0].get("finish_reason") is None
        return replace(outcome, finish_reason="length") if is_silent else outcome
    return outcome


def _outcome(body: JsonMapping) -> Outcome:
    error = find_error(body)
    if error is not None:
        reason = "bad_request" if error.status in _ROW_STATUSES else "request_failed"
        return Failure(reason, f"error object: {error.text}")
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return Failure("bad_response", "no choices")
    return _said(message, choice.get("finish_reason"))


def _said(message: JsonMapping, finish: object) -> Outcome:
    text, thoughts = _text(message.get("content")), message_thoughts(message)
    ending = read_ending(finish)
    if ending == "content_filter":
        return Failure("content_filter", f"finish_reason {excerpt(str(finish))}", text)
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        return Failure("refusal", excerpt(refusal, 300), text)
    if ending == "length":
        return Reply(text, "length", thoughts=thoughts)
    if ending == "unknown":
        return Failure("unfinished", f"finish_reason {excerpt(str(finish))}", text)
    if ending == "tool_call" or message.get("tool_calls") or message.get("function_call"):
        return Failure("tool_call", "a tool call instead of an answer", text)
    if not text.strip() and thoughts is None:
        return Failure("empty_reply", "no text", text)
    return Reply(text, thoughts=thoughts)


def _text(content: object) -> str:
    """The text of a message: a string, or the text parts of a list; never the word None."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "".join(part for part in parts if isinstance(part, str))


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    return 0  # sums of what no model says would not fit the journal


def message_thoughts(message: JsonMapping) -> str | None:
    """Return the thoughts in a message's own fields or in parts of its content; None for none.

    Several fields of one message hold the same text, as servers give it under an old and a new
    name: the first that has some counts.
    """
    fields = (_field_text(message.get(name)) for name in THOUGHT_FIELDS)
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    inside = (
        _field_text(part.get("thinking") or part.get("reasoning"))
        for part in parts
        if isinstance(part, Mapping)
    )
    return join_thoughts(next(filter(None, fields), None), *filter(None, inside))


def _field_text(value: object) -> str | None:
    """The text of a field: itself, or the texts of its parts."""
    if isinstance(value, str):
        return value or None
    if not isinstance(value, list):
        return None
    texts = [part.get("text") for part in value if isinstance(part, Mapping)]
    return "".join(text for text in texts if isinstance(text, str)) or None
