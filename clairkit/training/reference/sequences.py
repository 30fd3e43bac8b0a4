"""Collect the sequences that a run needs reference log-probs of, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from clairkit.batching import EncodedPair
from clairkit.errors import DataError
from clairkit.training.reference.cache import CachedReference, CacheFile, ids_bytes


class NeededSequences:
    """The distinct sequences of some pairs and their log-probs as far as they are known."""

    def __init__(self, pairs: Sequence[EncodedPair]) -> None:
        self.pairs = pairs
        numbers: dict[bytes, int] = {}
        self.numbers: list[tuple[int, int]] = []  # of each pair's sides; -1 for an empty one
        self.places: list[tuple[int, str]] = []  # of each sequence: a pair and a side that have it
        for place, pair in enumerate(pairs):
            both = []
            for side, response in (("chosen", pair.chosen_ids), ("rejected", pair.rejected_ids)):
                key = hashlib.sha256(
                    ids_bytes([len(pair.prompt_ids), *pair.prompt_ids, *response])
                ).digest()
                number = numbers.setdefault(key, len(numbers)) if response else -1
                if number == len(self.places):
                    self.places.append((place, side))
                both.append(number)
            self.numbers.append((both[0], both[1]))
        self.logps: list[Tensor | None] = [None] * len(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def ids(self, number: int) -> tuple[list[int], list[int]]:
        place, side = self.places[number]
        pair = self.pairs[place]
        return pair.prompt_ids, pair.chosen_ids if side == "chosen" else pair.rejected_ids

    def missing(self) -> list[int]:
        return [number for number, logps in enumerate(self.logps) if logps is None]

    def forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.logps[number] = None

    def look_up(self, file: CacheFile) -> int:
        """Take what the file holds; return how many sequences that was."""
        before = self.missing()
        for number in before:
            self.logps[number] = file.find(*self.ids(number))
        return len(before) - len(self.missing())

    def missing_pairs(self) -> list[EncodedPair]:
        """Return pairs of the missing sequences alone, each once; a side that is not is empty."""
        wanted: dict[int, dict[str, list[int]]] = {}
        for number in self.missing():
            place, side = self.places[number]
            wanted.setdefault(place, {})[side] = self.ids(number)[1]
        return [
            EncodedPair(
                self.pairs[place].id,
                self.pairs[place].prompt_ids,
                sides.get("chosen", []),
                sides.get("rejected", []),
            )
            for place, sides in wanted.items()
        ]

    def take(self, computed: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take the log-probs of `missing_pairs`."""
        places: dict[int, list[int]] = {}
        for number in self.missing():
            places.setdefault(self.places[number][0], []).append(number)
        for numbers, (chosen, rejected) in zip(places.values(), computed, strict=True):
            for number in numbers:
                self.logps[number] = chosen if self.places[number][1] == "chosen" else rejected

    def refuse_missing(self, path: Path) -> None:
        missing = self.missing()
        if missing:
            place, side = self.places[missing[0]]
            raise DataError(
                f"{len(missing):,} of {len(self):,} sequences are not in the reference cache, for "
                f"instance the {side} side of pair {self.pairs[place].id}",
                path=path,
                remedy="leave --ref out to compute what is missing; the file holds the pairs of "
                "one run, tokenised and cut as that run did",
            )

    def entries(self) -> Iterator[CachedReference]:
        for number, logps in enumerate(self.logps):
            if logps is not None:
                yield CachedReference(*self.ids(number), logps)

    def by_pair(self) -> list[tuple[Tensor, Tensor]]:
        known = [logps for logps in self.logps if logps is not None]
        known.append(torch.zeros(0))  # number -1: an empty side
        return [(known[chosen], known[rejected]) for chosen, rejected in self.numbers]
