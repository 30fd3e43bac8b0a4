"""Normalise texts so that copies match (one normal form, no case, no punctuation); n-grams.

Only for finding texts again. Scores count tokens or graphemes, see `clairkit.scoring.units`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import regex

# Written without spaces between words: there a character is the unit.
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\u30fc"
_UNIT = regex.compile(rf"[{_SPACELESS}]|[\w--[{_SPACELESS}]]+", regex.V1)
_SPACELESS_CHARACTER = regex.compile(rf"[{_SPACELESS}]", regex.V1)


def words_of(text: str) -> list[str]:
    """Return the words of `text`, and each character of scripts without spaces as one."""
    found: list[str] = _UNIT.findall(_plain(text))
    return found


def letters_of(words: Sequence[str]) -> str:
    """Return the letters and digits of a text's words in a row."""
    return "".join(words)


def is_spaceless(words: Sequence[str]) -> bool:
    """Whether most letters of a text are of scripts that put no spaces between words."""
    letters = letters_of(words)
    return 2 * len(_SPACELESS_CHARACTER.findall(letters)) > len(letters)


def ngrams(units: Sequence[str], size: int) -> Iterator[str]:
    """Return every run of `size` units as one text, none when there are fewer."""
    separator = "" if isinstance(units, str) else " "
    for at in range(len(units) - size + 1):
        yield separator.join(units[at : at + size])


def digest64(text: str) -> int:
    """Return 64 bits that stand for `text`, the same in every process."""
    return int.from_bytes(blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest())


def _plain(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
