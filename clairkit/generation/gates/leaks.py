"""Find what shows that a revision is one, was asked for, or was cut short by its author."""

from __future__ import annotations

import re

from clairkit.display import excerpt
from clairkit.generation.gates.case import GateCase
from clairkit.generation.gates.phrases import FLAGS, Phrase, phrases

# Of a request's form: our own marks, the published ones, and those of other edit formats.
MARKERS = tuple(
    Phrase(words, re.compile(pattern, FLAGS))
    for words, pattern in (
        (("[[",), r"\[\[[a-z][a-z.0-9-]{0,30}:[0-9a-f]{8}\]\]"),
        (
            ("teacher", "student"),
            r"[{\uff5b]{1,2}[ \t]*(?:teacher\\?_reasoning|corrected\\?_student\\?_solution)"
            r"[ \t]*\\?[}\uff5d]",
        ),
        (("<<<<<", ">>>>>"), r"^[ \t]*(?:<{5,}|>{5,}) ?(?:SEARCH|REPLACE)\b"),
    )
)


def marker_leak(case: GateCase) -> str | None:
    """Find a mark of the request's form or of a chat template, which nothing before has."""
    return _new(case, MARKERS, case.revision) or _new(case, phrases("chat_tokens"), case.prose)


def meta_leak(case: GateCase) -> str | None:
    """Find a revision that speaks as the reviser, of the student, or of the version before."""
    return _new(case, phrases("roles", "meta"), case.prose)


def elided(case: GateCase) -> str | None:
    """Find a stand-in such as "the rest remains unchanged" for a part that the answer has."""
    return _new(case, phrases("elided"), case.revision)


def revision_mentioned(case: GateCase) -> str | None:
    """Find a hint that something was corrected, where nothing before speaks of that."""
    return _new(case, phrases("mentions"), case.prose)


def _new(case: GateCase, group: tuple[Phrase, ...], text: str) -> str | None:
    """Tell of the first phrase in `text` that stands neither in the prompt nor in the answer."""
    lowered = text.lower()
    for phrase in group:
        found = phrase.find(text, lowered)
        if found and not any(_is_of(phrase, old) for old in (case.answer, case.asked)):
            return f"it says: {excerpt(found[0].strip(), 60)}"
    return None


def _is_of(phrase: Phrase, text: str) -> bool:
    """Return whether a text has the phrase, or is about the people that it speaks of."""
    if phrase.of_a_role and any(word in text.lower() for word in phrase.words):
        return True
    return phrase.pattern.search(text) is not None
