"""Tell from a server's `finish_reason` whether a reply came to its end.

What is not on one of these lists is no end that an answer may have: an error, an abort, a server
that ran out of memory, or a word that is not known yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

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
