"""Leaks: what shows that a revision is one, or was asked for, or was cut short by its author."""

from __future__ import annotations

from clairkit.display import excerpt
from clairkit.generation.gates.case import GateCase
from clairkit.generation.gates.phrases import CHAT_TOKENS, ELIDED, MARKERS, MENTIONS, META, Phrase


def marker_leak(case: GateCase) -> str | None:
    """A mark of the request's form or of a chat template, which nothing before has."""
    return _new(case, MARKERS, case.revision) or _new(case, CHAT_TOKENS, case.prose)


def meta_leak(case: GateCase) -> str | None:
    """The revision speaks as the reviser, of the student, or of the version before."""
    return _new(case, META, case.prose)


def elided(case: GateCase) -> str | None:
    """A stand-in such as "the rest remains unchanged" for a part that the answer has."""
    return _new(case, ELIDED, case.revision)


def revision_mentioned(case: GateCase) -> str | None:
    """A hint that something was corrected, where nothing before speaks of that."""
    return _new(case, MENTIONS, case.prose)


def _new(case: GateCase, phrases: tuple[Phrase, ...], text: str) -> str | None:
    """The first phrase in `text` that stands neither in the prompt nor in the answer."""
    lowered = text.lower()
    for phrase in phrases:
        found = phrase.find(text, lowered)
        if found and not any(_is_of(phrase, old) for old in (case.answer, case.asked)):
            return f"it says: {excerpt(found[0].strip(), 60)}"
    return None


def _is_of(phrase: Phrase, text: str) -> bool:
    """Whether a text has the phrase, or is about the people that it speaks of."""
    if phrase.of_a_role and any(word in text.lower() for word in phrase.words):
        return True
    return phrase.pattern.search(text) is not None
