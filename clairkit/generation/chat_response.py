"""From the body of a chat completion to what the model said, or why it said nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clairkit.display import excerpt
from clairkit.generation.message_thoughts import message_thoughts
from clairkit.generation.sampling import Failure, Outcome, Reply

_CUT = frozenset(("length", "max_tokens", "model_length"))


def read_completion(body: Any, tries: int = 1) -> Outcome:
    """Return the reply in a decoded body, or a failure with its reason code."""
    if not isinstance(body, Mapping):
        return Failure("bad_response", "the body is no JSON object", tries=tries)
    usage = body.get("usage")
    given = usage if isinstance(usage, Mapping) else {}
    return replace(
        _outcome(body),
        prompt_tokens=_count(given.get("prompt_tokens")),
        completion_tokens=_count(given.get("completion_tokens")),
        tries=tries,
    )


def _outcome(body: Mapping[str, Any]) -> Outcome:
    if body.get("error"):
        return Failure("bad_response", f"error object: {error_text(body)}")
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return Failure("bad_response", "no choices")
    return _said(message, str(choice.get("finish_reason") or "stop"))


def error_text(body: Any) -> str:
    """Return the message of an error body, safe to show."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("detail") or error.get("code") or error
    return excerpt(str(error), 300)


def error_code(body: Any) -> str:
    """Return the code or type of an error body; empty when it has none."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return ""
    return str(error.get("code") or error.get("type") or "")


def _said(message: Mapping[str, Any], finish: str) -> Outcome:
    text, thoughts = _text(message.get("content")), message_thoughts(message)
    if finish == "content_filter":
        return Failure("content_filter", "finish_reason content_filter", text)
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        return Failure("refusal", excerpt(refusal, 300), text)
    if finish in _CUT:
        return Reply(text, "length", thoughts=thoughts)
    if not text and (message.get("tool_calls") or message.get("function_call")):
        return Failure("tool_call", "a tool call and no text")
    if not text.strip() and thoughts is None:
        return Failure("empty_reply", "no text", text)
    return Reply(text, thoughts=thoughts)


def _text(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list; never the word None."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "".join(part for part in parts if isinstance(part, str))


def _count(value: Any) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if is_count else 0  # sums of what no model says would not fit the journal
