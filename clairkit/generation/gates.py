"""Quality gates: what a revision must not be. Each gate gives a detail, or None when it passes."""

from __future__ import annotations

import re
from collections.abc import Callable

from clairkit.generation.parser import Revision, same_text
from clairkit.generation.sampling import Failure

Gate = Callable[[str, Revision], str | None]

_REFUSAL = re.compile(
    r"(?:i['\u2019]?m sorry|i am sorry|sorry|i apologi[sz]e|unfortunately)?[,.:;\s]*(?:but\s+)?"
    r"(?:as an ai\b[^.\n]{0,80}[,.]\s*)?"
    r"i\s*(?:can['\u2019]?t|cannot|can not|am unable to|['\u2019]m unable to|won['\u2019]?t)\s+"
    r"(?:help|assist|provide|comply|do that|fulfil+|continue|revise|answer|write|generate)",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a text begins as a refusal does (English only)."""
    return _REFUSAL.match(text.lstrip()) is not None


def check_revision(answer: str, revision: Revision) -> Failure | None:
    """Return why a revision makes no pair with its answer; None when it does."""
    for code, gate in GATES.items():
        detail = gate(answer, revision)
        if detail is not None:
            return Failure(code, detail, revision.text)
    return None


def _no_op(answer: str, revision: Revision) -> str | None:
    if answer == revision.text:
        return "equal"
    return "only white space or composition differs" if same_text(answer, revision.text) else None


def _refusal(answer: str, revision: Revision) -> str | None:
    refuses = is_refusal(revision.text) and not is_refusal(answer)
    return "the revision refuses where the answer did not" if refuses else None


GATES: dict[str, Gate] = {"no_op": _no_op, "refusal": _refusal}
"""By reason code, in the order in which they are asked."""
