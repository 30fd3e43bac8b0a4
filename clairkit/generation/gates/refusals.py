"""Find refusals, and answers that declined and were made to claim."""

from __future__ import annotations

from clairkit.display import excerpt
from clairkit.generation.gates.case import GateCase
from clairkit.generation.gates.phrases import matches_at

_HEAD = 400  # a refusal is said at once


def is_refusal(text: str) -> bool:
    """Return whether a text begins as a refusal does."""
    return any(matches_at("refusal", text.lstrip()[:_HEAD]))


def _declines(text: str) -> bool:
    """Return whether a text refuses, or says that it does not know, and leaves it at that."""
    head = text.lstrip()[:_HEAD]
    unknown = next(matches_at("unknown", head), None)
    answers_after_all = unknown is not None and any(matches_at("but", head, unknown.end()))
    return is_refusal(text) or (unknown is not None and not answers_after_all)


def refusal(case: GateCase) -> str | None:
    """Find a revision that refuses where the answer did not."""
    if is_refusal(case.revision) and not is_refusal(case.answer):
        return "the revision refuses where the answer did not"
    return None


def refusal_flipped(case: GateCase) -> str | None:
    """Find an answer that declined, or did not know, where the revision does neither."""
    if not _declines(case.answer) or _declines(case.revision):
        return None
    return f"the answer declined: {excerpt(case.answer.strip(), 60)}"
