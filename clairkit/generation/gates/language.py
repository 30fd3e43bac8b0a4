"""Tell a text's language by its script, and by its commonest words where scripts agree.

A few hundred bytes of words, so that the gates need no model and no further dependency. It tells
apart what a reviser might change to by mistake; a text too short or too mixed gets None.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

_LINK = re.compile(r"https?://\S+")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_LEAST_LETTERS = 12  # of a script that is one language's
_LEAST_WORDS = 3  # common words of a language in Latin script
_SHARE = 0.6  # of the letters that must be of one script

LATIN = "und-Latn"
"""Latin letters, and too few common words to tell in which language."""

_COMMON = {
    "en": "the of and to in is that it for was with as are be this on by not have from which or "
    "you an at can but they your will has if their more when would there what",
    "de": "der die das und ist nicht ein eine zu den von mit sich des auf dem als auch es werden "
    "aus er hat dass sie nach wird bei einer um sind noch wie einem einen kann oder zur",
    "fr": "le la les et est une des que dans qui pour sur pas par plus au avec ce il sont cette "
    "vous du ne se nous aux mais ou leur être elle ces votre",
    "es": "el los las y que una por con para del se como más pero sus este son al está su lo "
    "también entre cuando muy sin sobre ser tiene desde puede",
    "it": "il di che è un per non una sono della con del si le dei nel più anche alla come da "
    "ma gli questo delle nella essere ha i tra può",
    "pt": "o os que não uma um com para mais dos por se como mas ao da do em são pelo sua seu "
    "também está às você foi ser tem pode ou",
    "nl": "het een van en dat niet zijn op te met voor aan er ook als maar door naar bij uit om "
    "heeft worden dit deze wordt kan nog",
}
LATIN_LANGUAGES = frozenset(_COMMON)
_SPOKEN_IN = {
    word: tuple(name for name, common in _COMMON.items() if word in common.split())
    for word in " ".join(_COMMON.values()).split()
}
_NAMES = {
    "en": "english|英語",
    "de": "german|deutsch|ドイツ語",
    "fr": "french|français|フランス語",
    "es": "spanish|español|スペイン語",
    "it": "italian|italiano|イタリア語",
    "pt": "portuguese|português|ポルトガル語",
    "nl": "dutch|nederlands|オランダ語",
    "ja": "japanese|日本語|和訳|邦訳",
    "zh": "chinese|mandarin|cantonese|中国語|中文",
    "ko": "korean|韓国語|한국어",
    "ru": "russian|ukrainian|bulgarian|cyrillic|ロシア語|русск",
    "ar": "arabic|persian|farsi|urdu|アラビア語|العربية",
    "hi": "hindi|marathi|ヒンディー語",
    "th": "thai|タイ語",
    "he": "hebrew|ヘブライ語",
    "el": "greek|ギリシャ語",
}
_NAME_PATTERNS = {
    language: re.compile(
        "|".join(rf"\b{name}\b" if name.isascii() else name for name in names.split("|")),
        re.IGNORECASE,
    )
    for language, names in _NAMES.items()
}
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
    return frozenset(
        language for language, pattern in _NAME_PATTERNS.items() if pattern.search(text)
    )


def _by_words(text: str) -> str:
    """Return the language whose common words `text` has at least twice as often as any other's."""
    counts = Counter(dict.fromkeys(_COMMON, 0))
    for word, times in Counter(_WORD.findall(text.lower())).items():
        for language in _SPOKEN_IN.get(word, ()):
            counts[language] += times
    (first, most), (_, second) = counts.most_common(2)
    enough = most >= _LEAST_WORDS and most >= 2 * second
    return first if enough else LATIN


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """Return the language or script of a letter; empty for one of another script."""
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0].partition("-")[0], "")
