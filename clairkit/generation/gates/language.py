"""Tell a text's language by its script, and by its commonest words where scripts agree.

A few hundred bytes of words, so that the gates need no model and no further dependency. They tell
apart what a reviser might change to by mistake; a text too short or too mixed gets None.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache, lru_cache

from clairkit.texts import languages, texts

_LINK = re.compile(r"https?://\S+")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_LEAST_LETTERS = 12  # of a script that is one language's
_LEAST_WORDS = 3  # common words of a language in Latin script
_SHARE = 0.6  # of the letters that must be of one script

LATIN = "und-Latn"
"""Latin letters, and too few common words to tell in which language."""

LANGUAGES = "generation/gates/languages"
"""Where common words and names stand, a file a language."""

# The word with which Unicode's names of a script's letters begin, and the language it stands for.
_SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
    "THAI": "th",
    "HEBREW": "he",
    "GREEK": "el",
    "CJK": "zh",
    "LATIN": LATIN,
}
_KANA_SHARE = 0.1  # Japanese text has more kana than this among its Han characters
_CHINESE = frozenset("的了们這这吗嗎么麼说說没沒")  # in any Chinese text, not in a list of kanji
_EXAMINED = 8_000  # characters


def find_language(text: str) -> str | None:
    """Return the code of the language that most of `text` is in; None when it can't be told.

    A script stands for its commonest language: Cyrillic is `ru`, Arabic letters are `ar`. Latin
    letters alone are `LATIN`.
    """
    plain = _LINK.sub(" ", text[:_EXAMINED])
    letters = {letter: count for letter, count in Counter(plain).items() if letter.isalpha()}
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        scripts[_script(letter)] += count
    kana, han = scripts["ja"], scripts.pop("zh", 0)
    is_japanese = kana > _KANA_SHARE * (kana + han)
    scripts["ja" if is_japanese else "zh" if _CHINESE & letters.keys() else ""] += han
    script, count = scripts.most_common(1)[0]
    if count < max(_LEAST_LETTERS, _SHARE * scripts.total()):
        return None
    return _by_words(plain) if script == LATIN else script or None


def named_languages(text: str) -> frozenset[str]:
    """Return the codes of the languages that `text` names ("in French", "日本語で")."""
    return frozenset(code for code, pattern in _name_patterns().items() if pattern.search(text))


@cache
def latin_languages() -> Mapping[str, frozenset[str]]:
    """Return the common words of each language in Latin script, by its code."""
    common = {code: texts(LANGUAGES, code)["common"] for code in languages(LANGUAGES)}
    return {code: frozenset(words.split()) for code, words in common.items() if words}


@cache
def _name_patterns() -> Mapping[str, re.Pattern[str]]:
    """Return what each language is called, by its code."""
    names = {code: texts(LANGUAGES, code)["names"].split("|") for code in languages(LANGUAGES)}
    return {
        code: re.compile(
            "|".join(rf"\b{name}\b" if name.isascii() else name for name in called), re.IGNORECASE
        )
        for code, called in names.items()
    }


def _by_words(text: str) -> str:
    """Return the language whose common words `text` has at least twice as often as any other's."""
    found = Counter(_WORD.findall(text.lower()))
    counts = Counter(
        {
            code: sum(found[word] for word in common & found.keys())
            for code, common in latin_languages().items()
        }
    )
    (first, most), (_, second) = counts.most_common(2)
    enough = most >= _LEAST_WORDS and most >= 2 * second
    return first if enough else LATIN


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """Return the language or script of a letter; empty for one of another script."""
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0].partition("-")[0], "")
