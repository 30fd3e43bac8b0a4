"""Why a row became no pair: the codes that stand in the quarantine file and in the summary."""

from __future__ import annotations

from dataclasses import dataclass

HALTED = "halted"
"""The run stopped before the row was done. Never journalled, never in the quarantine file."""


@dataclass(frozen=True)
class Reason:
    """What a code means, and what follows from it.

    `failed`: the row should have become a pair; the command then ends with exit code 4.
    `again`: a resumed run asks once more instead of keeping the result.
    """

    meaning: str
    failed: bool = True
    again: bool = False


REASONS = {
    "no_op": Reason("the revision does not differ from the answer", failed=False),
    "duplicate": Reason("an earlier row has the same prompt and answer", failed=False),
    "parse_error": Reason("the reply does not hold exactly one whole revision"),
    "truncated": Reason("the revision was cut at its token limit"),
    "refusal": Reason("the model refused"),
    "answer_truncated": Reason("the target's answer was cut at its token limit"),
    "answer_empty": Reason("the answer is empty"),
    "request_failed": Reason("the server could not be reached or failed each time", again=True),
    "bad_request": Reason("the server refused this row"),
    "bad_response": Reason("the server's response is not a chat completion", again=True),
    "content_type": Reason("the server's response is not JSON", again=True),
    "too_large": Reason("the server's response is larger than allowed"),
    "too_long": Reason("the prompt leaves no room in the model's context"),
    "content_filter": Reason("the server's content filter stopped the reply"),
    "tool_call": Reason("the model called a tool and said nothing"),
    "empty_reply": Reason("the model said nothing", again=True),
    "bad_unicode": Reason("the text holds a lone surrogate"),
    "function_error": Reason("the function raised an exception or returned no text", again=True),
}


def reason(code: str) -> Reason:
    """Return what `code` means; a code of a later version counts as a failure."""
    return REASONS.get(code, Reason(code))
