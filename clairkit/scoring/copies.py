"""Find texts again: copies of a pair, nearly or word for word, and texts of a benchmark.

They are normalised so that copies match: one normal form, no case, no punctuation. Scores count
tokens or graphemes, see `clairkit.scoring.units`.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any
from zlib import crc32

import regex

# Written without spaces between words: there a character is the unit.
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\u30fc"
_UNIT = regex.compile(rf"[{_SPACELESS}]|[\w--[{_SPACELESS}]]+", regex.V1)
_SPACELESS_CHARACTER = regex.compile(rf"[{_SPACELESS}]", regex.V1)

WORDS = 13
"""Words in a row that are no accident; what Brown et al. (2020, appendix C) counted by."""
LETTERS = 50
"""Letters in a row, for texts in scripts without spaces; as OpenAI (2023, appendix C)."""
_OWN_WORDING = 10  # rows of a benchmark that share an n-gram: its instructions, not its questions
NEAR = 0.8
"""The Jaccard similarity of shingles from which two pairs are near duplicates."""
_SHINGLE = 5  # words
_BANDS, _ROWS = 25, 5  # finds all but 1 in 20,000 at NEAR, and half at 0.5: the count decides
_HASHES = _BANDS * _ROWS


def words_of(text: str) -> list[str]:
    """Return the words of `text`, and each character of scripts without spaces as one."""
    plain = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    found: list[str] = _UNIT.findall(plain)
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


@dataclass(frozen=True)
class BenchmarkIndex:
    """What stands for the texts of a benchmark: digests of n-grams, of whole texts where short.

    Attributes:
        words: n-grams of 13 words, of the texts in scripts with spaces.
        letters: n-grams of 50 letters, of the others.
        whole: texts too short for an n-gram: only a message that says the same is found.
        rows: how many texts there were.
    """

    words: frozenset[int]
    letters: frozenset[int]
    whole: frozenset[int]
    rows: int

    @classmethod
    def of(cls, texts: Iterable[str]) -> BenchmarkIndex:
        """Index `texts`. An n-gram that ten of them or more share is left out, as their wording."""
        words: Counter[int] = Counter()
        letters: Counter[int] = Counter()
        whole: set[int] = set()
        rows = 0
        for text in texts:
            rows += 1
            units = words_of(text)
            spaceless = is_spaceless(units)
            grams = _letter_grams(units) if spaceless else _word_grams(units)
            (letters if spaceless else words).update(grams)
            if units and not grams:
                whole.add(_whole(units))
        return cls(_rare(words), _rare(letters), frozenset(whole), rows)

    def holds(self, text: str) -> bool:
        """Whether `text`, one message, has an n-gram of the benchmark or is one of its texts."""
        units = words_of(text)
        return (
            (bool(self.words) and not self.words.isdisjoint(_word_grams(units)))
            or (bool(self.letters) and not self.letters.isdisjoint(_letter_grams(units)))
            or (bool(self.whole) and _whole(units) in self.whole)
        )


def _word_grams(units: list[str]) -> set[int]:
    return {digest64(gram) for gram in ngrams(units, WORDS)}


def _letter_grams(units: list[str]) -> set[int]:
    return {digest64(gram) for gram in ngrams(letters_of(units), LETTERS)}


def _whole(units: list[str]) -> int:
    return digest64(" ".join(units))


def _rare(counts: Counter[int]) -> frozenset[int]:
    return frozenset(gram for gram, count in counts.items() if count < _OWN_WORDING)


@dataclass(frozen=True)
class Shingles:
    """A text's runs of five words.

    Attributes:
        codes: a 32-bit code each, none twice.
        minima: their MinHash.
    """

    codes: array[int]
    minima: Any

    @classmethod
    def of(cls, texts: Iterable[str]) -> Shingles:
        """Return those of all `texts`; shorter ones count as one shingle each."""
        found: set[int] = set()
        for text in texts:
            words = words_of(text)
            grams = list(ngrams(words, _SHINGLE)) or [" ".join(words)]
            found.update(crc32(gram.encode("utf-8", "backslashreplace")) for gram in grams)
        return cls(array("I", sorted(found)), _minhash(found).hashvalues)

    def jaccard(self, other: Shingles) -> float:
        """Return the share of all shingles of both that both have."""
        ours, theirs = set(self.codes), set(other.codes)
        return len(ours & theirs) / len(ours | theirs)


def near_duplicates(texts: Sequence[Shingles]) -> Iterator[int]:
    """Return the places of texts that nearly repeat an earlier one which is no repeat itself.

    MinHash proposes, the shingles in common decide: what is returned is one. Of those with a
    Jaccard similarity of 0.8, one in 20,000 is overlooked.
    """
    from datasketch import MinHashLSH

    index = MinHashLSH(num_perm=_HASHES, params=(_BANDS, _ROWS))
    for place, shingles in enumerate(texts):
        minhash = _empty().copy()
        minhash.hashvalues = shingles.minima
        if any(shingles.jaccard(texts[other]) >= NEAR for other in index.query(minhash)):
            yield place
        else:
            index.insert(place, minhash)


@cache
def _empty() -> Any:
    from datasketch import MinHash

    return MinHash(num_perm=_HASHES, hashfunc=int)


def _minhash(codes: Iterable[int]) -> Any:
    minhash = _empty().copy()
    minhash.update_batch(sorted(codes))
    return minhash
