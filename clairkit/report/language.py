"""The languages of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clairkit.errors import UsageError
from clairkit.report import words_en, words_ja
from clairkit.scoring import METRICS

LANGUAGES = ("en", "ja")


@dataclass(frozen=True)
class Language:
    """The words of one language.

    Attributes:
        code: as in `<html lang>`.
        words: what the page says, by key; in braces what is put in.
        metrics: names of figures.
        phrases: texts of other modules, from English.
        reasons: why a row became no pair, by code.
    """

    code: str
    words: Mapping[str, str]
    metrics: Mapping[str, str]
    phrases: Mapping[str, str]
    reasons: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """Return the words of that key with `values` put in."""
        return self.words[key].format(**values)

    def metric(self, name: str) -> str:
        """Return what a figure is called: its own name where there are no words."""
        return self.metrics.get(name, name)

    def phrase(self, text: str) -> str:
        """Return a text of another module in this language, as it is where there is none."""
        return self.phrases.get(text, text)


def language(code: str) -> Language:
    """Return the language of that code.

    Raises:
        UsageError: there is none.
    """
    if code not in LANGUAGES:
        raise UsageError("unknown language of the page", received=code,
                         remedy=f"give one of {', '.join(LANGUAGES)}")  # fmt: skip
    module = words_ja if code == "ja" else words_en
    metrics = {**METRICS, **module.METRICS}
    return Language(code, module.WORDS, metrics, module.PHRASES, module.REASONS)
