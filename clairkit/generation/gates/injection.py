"""Find directions to the reviser within the texts that it is handed."""

from __future__ import annotations

import re

from clairkit.display import excerpt
from clairkit.generation.gates.case import GateCase
from clairkit.generation.gates.phrases import first_match

_WORDS = re.compile(r"[^\W_]+")
_KEPT_LITTLE = 0.3


def injection_suspect(case: GateCase) -> str | None:
    """Find an answer that directs its reader; or a prompt, where little of the answer is left."""
    in_answer = first_match("directions", case.answer)
    found = in_answer or first_match("directions", case.asked)
    if found is None:
        return None
    kept = _kept_share(case)
    if in_answer is None and kept >= _KEPT_LITTLE:
        return None
    text = "answer" if in_answer else "prompt"
    obeyed = f"; {kept:.0%} of the answer's words are left" if kept < _KEPT_LITTLE else ""
    return f"the {text} says: {excerpt(found[0], 60)}{obeyed}"


def _kept_share(case: GateCase) -> float:
    """Return the share of the answer's different words that the revision has too."""
    words, kept = _words(case.answer), _words(case.revision)
    return len(words & kept) / len(words) if words else 1.0


def _words(text: str) -> set[str]:
    """Return the words of a text; of a script without spaces, pairs of characters."""
    words: set[str] = set()
    for word in _WORDS.findall(text.lower()):
        if word.isascii() or len(word) < 3:
            words.add(word)
        else:
            words.update(word[place : place + 2] for place in range(len(word) - 1))
    return words
