"""The texts that revisers are sent, by language."""

from __future__ import annotations

from clairkit.errors import UsageError
from clairkit.judging.texts_en import ENGLISH
from clairkit.judging.texts_ja import JAPANESE
from clairkit.judging.wording import Wording

WORDINGS = {"en": ENGLISH, "ja": JAPANESE}


def wording(language: str) -> Wording:
    """Return the texts of a language.

    Raises:
        UsageError: there are none.
    """
    if language not in WORDINGS:
        raise UsageError(
            "no such language", received=language, remedy=f"use one of {', '.join(WORDINGS)}"
        )
    return WORDINGS[language]
