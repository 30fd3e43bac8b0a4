"""Results on their way into the journal."""

from __future__ import annotations

from dataclasses import replace

from clairkit.generation.reasons import HALTED
from clairkit.generation.sampling import Failure, Outcome


def storable(outcome: Outcome) -> Outcome:
    """Return a result that UTF-8 can hold: a lone surrogate makes it a failure."""
    rationale = getattr(outcome, "rationale", None) or ""
    try:
        (outcome.text + rationale).encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(error.object[error.start]):04X}"
        text = outcome.text.encode("utf-8", "backslashreplace").decode()
        spent = (outcome.prompt_tokens, outcome.completion_tokens, outcome.tries)
        return Failure("bad_unicode", f"lone surrogate {code}", text, *spent)
    if isinstance(outcome, Failure):
        detail = outcome.detail.encode("utf-8", "backslashreplace").decode()
        return replace(outcome, detail=detail)
    return outcome


def is_halted(outcome: Outcome) -> bool:
    """Whether the run stopped before there was a result."""
    return isinstance(outcome, Failure) and outcome.reason == HALTED
