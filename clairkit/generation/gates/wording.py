"""Find by its wording a revision that refuses, gives itself away or followed directions."""

from __future__ import annotations

import re

from clairkit.display import excerpt
from clairkit.generation.gates.case import GateCase
from clairkit.generation.gates.phrases import FLAGS, Phrase, first_match, matches_at, phrases

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

_HEAD = 400  # a refusal is said at once
_WORDS = re.compile(r"[^\W_]+")
_KEPT_LITTLE = 0.3


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


def injection_suspect(case: GateCase) -> str | None:
    """Find an answer that directs its reader; or a prompt, where little of the answer is left."""
    in_answer = first_match("directions", case.answer)
    found = in_answer or first_match("directions", case.asked)
    if found is None:
        return None
    words, left = _words(case.answer), _words(case.revision)
    kept = len(words & left) / len(words) if words else 1.0
    if in_answer is None and kept >= _KEPT_LITTLE:
        return None
    text = "answer" if in_answer else "prompt"
    obeyed = f"; {kept:.0%} of the answer's words are left" if kept < _KEPT_LITTLE else ""
    return f"the {text} says: {excerpt(found[0], 60)}{obeyed}"


def _words(text: str) -> set[str]:
    """Return the words of a text; of a script without spaces, pairs of characters."""
    words: set[str] = set()
    for word in _WORDS.findall(text.lower()):
        if word.isascii() or len(word) < 3:
            words.add(word)
        else:
            words.update(word[place : place + 2] for place in range(len(word) - 1))
    return words
