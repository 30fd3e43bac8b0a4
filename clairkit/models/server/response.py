"""Read from a chat completion what the model said, or why it said nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from clairkit.display import excerpt
from clairkit.models.sampling import Failure, Outcome, Reply
from clairkit.models.server.error_objects import find_error
from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import THOUGHT_FIELDS, join_thoughts

Ending = Literal["stop", "length", "content_filter", "tool_call", "unknown"]

_ENDINGS: dict[Ending, frozenset[str]] = {
    "stop": frozenset((
        "stop",  # OpenAI, Azure, vLLM, SGLang, llama.cpp, Ollama, LM Studio, Gemini, Groq, …
        "eos", "eos_token", "stop_sequence",  # Together, TGI, watsonx
        "end_turn",  # Anthropic, xAI, Bedrock
        "complete", "completed",  # Cohere
        "finish", "finished", "stop_criteria_met",  # Bedrock's Titan
        "end_id", "stop_words",  # TensorRT-LLM
        "endoftext", "end_of_text", "normal",  # AI21, Aleph Alpha, Baidu
        "eosfound", "stopstringfound",  # LM Studio's own
        "",  # none was given: many servers leave it out
    )),
    "length": frozenset((
        "length", "max_tokens", "max_length", "max_output_tokens", "max_new_tokens",
        "model_length",  # Mistral
        "max_len", "max_context",  # xAI
        "error_limit",  # Cohere
        "model_context_window_exceeded",  # Anthropic, Zhipu
        "token_limit", "maximum_tokens",  # watsonx, Aleph Alpha
        "maxpredictedtokensreached", "contextlengthreached",  # LM Studio's own
    )),
    "content_filter": frozenset((
        "content_filter", "content_filtered", "content_filter_results",
        "safety", "recitation", "blocklist", "prohibited_content", "spii", "image_safety",  # Gemini
        "guardrail_intervened",  # Bedrock
        "error_toxic",  # Cohere
        "sensitive",  # Zhipu
        "refusal",  # Anthropic
    )),
    "tool_call": frozenset(("tool_calls", "tool_call", "tool_use", "function_call")),
}  # fmt: skip  # one server a line
_NONE = frozenset(("none", "null"))
_PREFIXES = ("finish_reason_", "reason_")  # Gemini's and xAI's names over gRPC


def read_ending(finish_reason: object) -> Ending:
    """Return what a `finish_reason` means, in whatever case it is written."""
    word = _word(finish_reason)
    return next((ending for ending, words in _ENDINGS.items() if word in words), "unknown")


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


_ROW_STATUSES = (400, 413)  # the request's own fault: asking again would not help


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
        return _cut_if_silent(outcome, body)
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


def _cut_if_silent(reply: Reply, body: JsonMapping) -> Reply:
    """A reply that took all its tokens: cut, unless the server says that it ended by itself."""
    is_silent = body["choices"][0].get("finish_reason") is None
    return replace(reply, finish_reason="length") if is_silent else reply


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
