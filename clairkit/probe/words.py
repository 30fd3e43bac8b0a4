"""Split texts into words and numbers, to tell whether a fault is still there.

A word is a run of letters and digits, a number as it is written, one character of Chinese or
Japanese, or one mark of punctuation. White space and case do not count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import regex

from clairkit.texts import languages, texts

TEXTS = "probe/texts"
"""Where good answers, negations and contractions stand, a file a language."""

_WIDE = r"\p{Han}\p{Hiragana}\p{Katakana}\u30fc"
_WORD = regex.compile(rf"\d+(?:[.,]\d+)*|[{_WIDE}]|[^\W_{_WIDE}]+|[^\s]")
_TWO_WIDE = regex.compile(rf"[{_WIDE}]{{2}}")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*", re.ASCII)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_BESIDE = 1  # words on each side that a window has
_BESIDE_WIDE = 3  # characters
_SHORT = 4  # shorter words stand in every text


@cache
def replacements(section: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the patterns of `negations` or `contractions`, each with what a match becomes.

    Those of all languages, in the order of their files, English first.
    """
    return tuple(
        (re.compile(pattern), becomes)
        for code in languages(TEXTS)
        for pattern, becomes in texts(TEXTS, code)[section]
    )


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; `isn't` is `is not`, `cannot` is `can not`."""
    for pattern, becomes in replacements("contractions"):
        text = pattern.sub(becomes, text)
    return [word.lower() for word in _WORD.findall(text)]


def numbers_in(text: str) -> Counter[str]:
    """Return the numbers of a text, thousands without commas, and how often each stands there."""
    return Counter(
        found.replace(",", "") if _THOUSANDS.fullmatch(found) else found
        for found in _NUMBER.findall(text)
    )


def contains(text: str, part: str) -> int:
    """Return how often the words of `part` stand in a text one after the other."""
    return _count(words(text), words(part))


def window(text: str, start: int, end: int) -> str:
    """Return `text[start:end]`, made longer by what stands beside it: a word, or characters."""
    is_wide = regex.search(rf"[{_WIDE}]", text[start:end]) is not None
    spans = [match.span() for match in _WORD.finditer(text)]
    before = [span for span in spans if span[1] <= start]
    after = [span for span in spans if span[0] >= end]
    beside = _BESIDE_WIDE if is_wide else _BESIDE
    first = before[-beside:][0][0] if before else start
    last = after[:beside][-1][1] if after else end
    return text[min(first, start) : max(last, end)]


def content_words(text: str) -> set[str]:
    """Return what a text is about: its longer words, and its Japanese characters two by two."""
    found = words(text)
    long = {word for word in found if len(word) >= _SHORT}
    wide = {
        one + other
        for one, other in pairwise(found)
        if not one.isascii() and _TWO_WIDE.fullmatch(one + other)
    }
    return long | wide


def _count(held: Sequence[str], part: Sequence[str]) -> int:
    size = len(part)
    if not size:
        return 0
    return sum(list(held[at : at + size]) == list(part) for at in range(len(held) - size + 1))
