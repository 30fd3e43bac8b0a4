"""Read the phrases that give a revision away, of all languages: `texts/CODE.yaml`.

Most phrases have words one of which has to stand in a text before the pattern is tried: nearly all
texts are passed by these alone, in microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from clairkit.errors import DataError
from clairkit.texts import languages, texts

TEXTS = "generation/gates/texts"
"""Where the phrases stand, a file a language."""

FLAGS = re.IGNORECASE | re.MULTILINE
_CALL = re.compile(r"\(\?&(\w+)\)")


class Phrase(NamedTuple):
    """A pattern, and words of which any match holds at least one, in lower case; () for any text.

    `of_a_role`: where a text before speaks of such people, it says nothing of the reviser.
    """

    words: tuple[str, ...]
    pattern: re.Pattern[str]
    of_a_role: bool = False

    def find(self, text: str, lowered: str) -> re.Match[str] | None:
        """Return the first match in `text`, whose lower case is `lowered`."""
        if self.words and not any(word in lowered for word in self.words):
            return None
        return self.pattern.search(text)


@cache
def phrases(*sections: str) -> tuple[Phrase, ...]:
    """Return the phrases of some sections of the files, section by section, English first.

    Raises:
        DataError: a pattern is no regular expression, or calls words that are not there.
    """
    return tuple(
        read_phrase(entry, section, code)
        for section in sections
        for code in languages(TEXTS)
        for entry in texts(TEXTS, code, ("words",))[section]
    )


def first_match(section: str, text: str) -> re.Match[str] | None:
    """Return the match of the first phrase of a section that stands in `text`."""
    lowered = text.lower()
    return next((found for each in phrases(section) if (found := each.find(text, lowered))), None)


def matches_at(section: str, text: str, start: int = 0) -> Iterator[re.Match[str]]:
    """Yield the matches of a section's phrases that begin at `start`."""
    found = (phrase.pattern.match(text, start) for phrase in phrases(section))
    return (match for match in found if match)


def read_phrase(entry: str | Mapping[str, str], section: str, code: str) -> Phrase:
    """Return a phrase of a file, its calls of named words replaced.

    Raises:
        DataError: see `phrases`.
    """
    given = {"words": "", "pattern": entry} if isinstance(entry, str) else entry
    named: Mapping[str, str] = texts(TEXTS, code, ("words",))["words"]
    try:
        words = _CALL.sub(lambda call: named[call[1]], given["words"])
        pattern = _CALL.sub(lambda call: f"(?:{named[call[1]]})", given["pattern"])
        compiled = re.compile(pattern, FLAGS)
    except (KeyError, re.error) as error:
        raise DataError(
            f"a phrase of the section {section} is not valid: {error}",
            path=f"{TEXTS}/{code}.yaml",
            received=entry,
            remedy="write a regular expression, and its words under `words`",
        ) from None
    return Phrase(tuple(filter(None, words.split("|"))), compiled, section == "roles")
