"""What a body says: an answer only where the server calls its end a good one."""

from __future__ import annotations

from typing import Any

import pytest

from clairkit.models.sampling import Failure, Reply
from clairkit.models.server.response import find_error, read_completion, read_ending, read_error

ENDINGS: dict[str, tuple[Any, ...]] = {
    "stop": (
        "stop",
        "STOP",
        "Stop",
        " stop ",
        "eos",
        "eos_token",
        "EOS_TOKEN",
        "end_turn",
        "end-turn",
        "stop_sequence",
        "COMPLETE",
        "complete",
        "FINISH",
        "endoftext",
        "FINISH_REASON_STOP",
        "REASON_STOP",
        "stop:eos",
        {"type": "stop", "matched": 2},
        None,
        "",
        "null",
        "None",
    ),
    "length": (
        "length",
        "LENGTH",
        "max_tokens",
        "MAX_TOKENS",
        "model_length",
        "max_length",
        "model_context_window_exceeded",
        "ERROR_LIMIT",
        "REASON_MAX_LEN",
        {"type": "length"},
    ),
    "content_filter": (
        "content_filter",
        "CONTENT_FILTER",
        "content-filter",
        "content_filtered",
        "SAFETY",
        "RECITATION",
        "PROHIBITED_CONTENT",
        "content_filter: SPII",
        "guardrail_intervened",
        "ERROR_TOXIC",
        "sensitive",
        "refusal",
    ),
    "tool_call": ("tool_calls", "TOOL_CALL", "tool_use", "function_call"),
    "unknown": (
        "abort",
        "aborted",
        "cancelled",
        "error",
        "ERROR",
        "insufficient_system_resource",
        "network_error",
        "timeout",
        "OTHER",
        "LANGUAGE",
        "MALFORMED_FUNCTION_CALL",
        "repetition",
        "FINISH_REASON_UNSPECIFIED",
        "not_finished",
        "unload",
        "pause_turn",
        "stopped?",
        1,
        True,
        {"type": "abort", "message": "x"},
        {},
        [],
        ["stop"],
        "of_tomorrow",
    ),
}


@pytest.mark.parametrize(
    ("ending", "word"), [(ending, word) for ending, words in ENDINGS.items() for word in words]
)
def test_endings(ending: str, word: Any) -> None:
    assert read_ending(word) == ending


def body_of(finish: Any, text: Any = "So be it.", **choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **choice.pop("message", {})}
    usage = {"prompt_tokens": 3, "completion_tokens": 8}
    return {"choices": [{"message": message, "finish_reason": finish, **choice}], "usage": usage}


@pytest.mark.parametrize("word", ENDINGS["unknown"])
def test_what_has_no_good_end_is_no_answer_but_kept(word: Any) -> None:
    outcome = read_completion(body_of(word))
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.text) == ("unfinished", "So be it.")
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (3, 8)


@pytest.mark.parametrize(
    ("finish", "longest", "expected"),
    [(None, 8, "length"), (None, 9, "stop"), (None, 0, "stop"), ("stop", 8, "stop")],
)
def test_a_silent_server_that_used_all_tokens_has_cut(
    finish: str | None, longest: int, expected: str
) -> None:
    outcome = read_completion(body_of(finish), longest=longest)
    assert isinstance(outcome, Reply)
    assert outcome.finish_reason == expected


@pytest.mark.parametrize(
    "body",
    [
        body_of("stop", error={"code": 502, "message": "lost"}),
        body_of("stop", message={"error": {"code": 502, "message": "lost"}}),
        {**body_of("stop"), "error": {"code": 502, "message": "lost"}},
        {**body_of("stop"), "error": "lost"},
        {"object": "error", "message": "lost", "code": 502},
    ],
)
def test_an_error_beside_an_answer_makes_it_none(body: dict[str, Any]) -> None:
    outcome = read_completion(body)
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.detail) == ("request_failed", "error object: lost")


@pytest.mark.parametrize("nothing", [None, "", {}, [], False])
def test_an_empty_error_is_none(nothing: object) -> None:
    body = body_of("stop", error=nothing, message={"error": nothing})
    assert find_error({**body, "error": nothing}) is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 429}, 429),
        ({"code": "429"}, 429),
        ({"code": None, "type": "rate_limit_error"}, 429),
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": "ThrottlingException"}, 429),
        ({"type": "overloaded_error"}, 503),
        ({"type": "authentication_error"}, 401),
        ({"code": "insufficient_quota", "type": "insufficient_quota"}, 402),
        ({"type": "invalid_request_error", "code": "context_length_exceeded"}, 400),
        ({"code": "model_not_found", "type": "invalid_request_error"}, 404),
        ({"code": 200}, None),
        ({"code": 18}, None),
        ({"code": "9" * 5000}, None),
        ({"code": True}, None),
        ({"code": "of_tomorrow"}, None),
        ("oops", None),
    ],
)
def test_the_status_that_an_error_stands_for(error: object, status: int | None) -> None:
    found = find_error({"error": error})
    assert found is not None
    assert found.status == status
    assert read_error([{"error": error}]) == found  # as Gemini wraps it


@pytest.mark.parametrize("nothing", [None, "", {}])
def test_a_refusal_with_an_empty_error_is_told_in_its_other_words(nothing: object) -> None:
    assert read_error({"error": nothing, "message": "too long"}).text == "too long"
