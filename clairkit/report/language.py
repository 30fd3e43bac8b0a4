"""Say what a page says in one of the languages of `texts/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from clairkit.scoring import METRICS
from clairkit.texts import languages, texts

_FOLDER = "report/texts"
LANGUAGES = languages(_FOLDER)

COUNTED = (
    "edit_share_chosen",
    "edit_share_rejected",
    "span_length_mean",
    "span_length_max",
    "clean_edit_share_chosen",
    "clean_edit_share_rejected",
    "clean_span_length_mean",
    "common_prefix_share",
    "chosen_length",
    "rejected_length",
    "prompt_length",
)
"""Figures that count the units of `score`, or are shares of them; others are of characters."""


@dataclass(frozen=True)
class Language:
    """The words of one language."""

    code: str  # as in `<html lang>`
    words: Mapping[str, str]  # what pages say, by key; in braces what is put in
    browser: Mapping[str, str]  # what a page's script says, by key
    metrics: Mapping[str, str]  # names of figures
    phrases: Mapping[str, str]  # texts of other modules, from English
    reasons: Mapping[str, str]  # why a row became no pair, by code
    # What differs in the browser of answers: sections `browser` and `metrics`
    answers: Mapping[str, Mapping[str, str]]
    signals: Mapping[str, str]  # names of an evaluation's signals
    because: Mapping[str, str]  # why a verdict is as it is, by code; English reads the file's

    def say(self, key: str, **values: object) -> str:
        """Return the words of that key with `values` put in."""
        return self.words[key].format(**values)

    def metric(self, name: str) -> str:
        """Return what a figure is called: its own name where there are no words."""
        return self.metrics.get(name, name)

    def in_units(self, units: Iterable[str]) -> Language:
        """Return the language in which figures that `score` counted say what was counted."""
        found = set(units)
        known = [unit for unit in ("token", "grapheme") if unit in found]
        if not known:
            return self
        said = " / ".join(self.words[unit] for unit in known)
        named = {name: f"{self.metric(name)} ({said})" for name in COUNTED}
        return replace(self, metrics={**self.metrics, **named})

    def of_answers(self) -> Language:
        """Return the language in which the browser shows answers of models, not pairs."""
        browser, metrics = self.answers["browser"], self.answers["metrics"]
        return replace(
            self, browser={**self.browser, **browser}, metrics={**self.metrics, **metrics}
        )

    def phrase(self, text: str) -> str:
        """Return a text of another module in this language, as it is where there is none."""
        return self.phrases.get(text, text)


def language(code: str) -> Language:
    """Return the language of that code.

    Raises:
        UsageError: there is none.
    """
    found = texts(_FOLDER, code, ("metrics", "phrases", "reasons", "because"))
    return Language(
        code=code,
        words={**found["page"], **found["browser"], **found["evaluation"], **found["sweep"]},
        browser=found["browser"],
        metrics={**METRICS, **found["metrics"]},
        phrases=found["phrases"],
        reasons=found["reasons"],
        answers={"browser": found["answers"], "metrics": found["answer_metrics"]},
        signals=found["signal_names"],
        because=found["because"],
    )


def count_text(value: int) -> str:
    """Return a whole number for reading."""
    return f"{value:,}"


def percent_text(share: float) -> str:
    """Return a share for reading."""
    return f"{100 * share:.1f} %"
