"""Find pairs that hold text of a benchmark, whose figures then say nothing of what was learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from clairkit.scoring.words import digest64, is_spaceless, letters_of, ngrams, words_of

WORDS = 13
"""Words in a row that are no accident; what Brown et al. (2020, appendix C) counted by."""

LETTERS = 50
"""Letters in a row, for texts in scripts without spaces; as OpenAI (2023, appendix C)."""

_OWN_WORDING = 10  # rows of a benchmark that share an n-gram: its instructions, not its questions


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
