"""List why a row became no pair: the codes in the quarantine file and in the summary."""

from __future__ import annotations

from dataclasses import dataclass

HALTED = "halted"
"""The run stopped before the row was done. Never journalled, never in the quarantine file."""

SAME_AS = "the same as row "
"""How the detail of a `duplicate` begins; the id of the row that became the pair follows."""


@dataclass(frozen=True)
class Reason:
    """What a code means, and what follows from it.

    `failed`: the row should have become a pair; the command then ends with exit code 4. False
    where the run did what it was asked to: nothing to revise, or a gate that the policy drops by.
    `again`: a resumed run asks once more instead of keeping the result.
    """

    meaning: str
    failed: bool = True
    again: bool = False


_CALLS = {
    "request_failed": Reason("the server could not be reached or failed each time", again=True),
    "bad_request": Reason("the server refused this row"),
    "bad_response": Reason("the server's response is not a chat completion", again=True),
    "content_type": Reason("the server's response is not JSON", again=True),
    "unfinished": Reason("the server ended the reply before its end", again=True),
    "too_large": Reason("the server's response is larger than allowed"),
    "template_refused": Reason("the model's chat template does not take the conversation"),
    "too_long": Reason("the prompt leaves no room in the model's context"),
    "content_filter": Reason("the server's content filter stopped the reply"),
    "tool_call": Reason("the model called a tool instead of answering"),
    "empty_reply": Reason("the model said nothing", again=True),
    "secret_echoed": Reason("the reply repeats the key or password that was sent"),
    "bad_unicode": Reason("the text holds a lone surrogate"),
    "function_error": Reason("the function raised an exception or returned no text", again=True),
}
_REPLIES = {
    "duplicate": Reason("an earlier row has the same prompt and answer", failed=False),
    "parse_error": Reason("the reply does not hold exactly one whole revision"),
    "edit_failed": Reason("the reply's edits do not fit the answer"),
    "edit_share": Reason("more was changed than --max-edit-share allows"),
    "length_changed": Reason("the length was not kept, as --length-neutral asks"),
    "answer_truncated": Reason("the target's answer was cut at its token limit"),
    "answer_empty": Reason("the answer is empty"),
}
_GATES = {
    "no_op": Reason("the revision does not differ from the answer", failed=False),
    "refusal": Reason("the model refused"),
    "refusal_flipped": Reason("the answer declined and the revision claims", failed=False),
    "marker_leak": Reason("the revision holds marks of a request or chat", failed=False),
    "meta_leak": Reason("the revision speaks as one, or as the reviser", failed=False),
    "elided": Reason("the revision leaves out a part as unchanged", failed=False),
    "language_change": Reason("the revision is in another language", failed=False),
    "fence_broken": Reason("a code fence of the answer is broken", failed=False),
    "truncated": Reason("the revision was cut, or ends in mid-sentence"),
    "revision_mentioned": Reason("the revision hints at an earlier version", failed=False),
    "length_inflation": Reason("the revision is much longer than the answer", failed=False),
    "numbers_changed": Reason("a number was changed without a word on it", failed=False),
    "urls_changed": Reason("a link was changed without a word on it", failed=False),
    "new_claims": Reason("the revision has facts that nothing before it has", failed=False),
    "injection_suspect": Reason("the texts hold directions to the reviser", failed=False),
}
_METHODS = {
    "same_answers": Reason("the answers to choose from are all the same", failed=False),
    "too_few_answers": Reason("fewer than two answers to choose from"),
    "judge_tie": Reason("the judge found no answer better than another", failed=False),
    "judge_inconsistent": Reason("the judge's choice changed with the order", failed=False),
    "verdict_unclear": Reason("the judge's reply does not name exactly one answer"),
}

REASONS = {**_GATES, **_REPLIES, **_CALLS, **_METHODS}
"""By code. Those of the gates are what `--gate` knows; see `clairkit.generation.gates`."""


def reason(code: str) -> Reason:
    """Return what `code` means; a code of a later version counts as a failure."""
    return REASONS.get(code, Reason(code))
