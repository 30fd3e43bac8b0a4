"""Find pairs that occur more than once: word for word, or nearly (MinHash, then counted)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

from clairkit.scoring.words import ngrams, words_of

NEAR = 0.8
"""The Jaccard similarity of shingles from which two pairs are near duplicates."""

_SHINGLE = 5  # words
_BANDS, _ROWS = 25, 5  # finds all but 1 in 20,000 at NEAR, and half at 0.5: the count decides
_HASHES = _BANDS * _ROWS


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
