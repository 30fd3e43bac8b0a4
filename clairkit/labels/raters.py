"""Measure how far a rater can be relied on, by the checks among the screens; none is left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from clairkit.intervals import wilson
from clairkit.labels.collect import Cast, Votes
from clairkit.records.json_types import JsonObject

LEAST = 0.7
"""The least share of checks that a reliable rater meets."""

_UNHURRIED = 0.5
_FASTEST = 200  # characters of both answers a second; people read about 25
_BRIEFEST = 1000  # milliseconds
_WIDE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]")


@dataclass(frozen=True)
class Share:
    """How often something held, of how many cases."""

    hits: int
    n: int

    def is_below(self, least: float) -> bool:
        """Whether even the upper end of its 95 % interval lies below `least`."""
        return self.n > 0 and wilson(self.hits, self.n).high < least

    def __str__(self) -> str:
        return f"{self.hits}/{self.n}" if self.n else ""


@dataclass(frozen=True)
class Rater:
    """One rater's votes in figures.

    Attributes:
        name: of the rater.
        screens: that the page has.
        answered: of these, skips included.
        labels: how often each was given, checks left out.
        repeats: the same said again with sides swapped.
        identical: no preference between an answer and itself.
        gold: right where it is known.
        unhurried: not faster than anyone can read.
        seconds: the median a screen; None where no file knows it.
        first_side: left chosen, of the votes for a side.
    """

    name: str
    screens: int
    answered: int
    labels: dict[str, int]
    repeats: Share
    identical: Share
    gold: Share
    unhurried: Share
    seconds: float | None
    first_side: Share

    @property
    def checks(self) -> dict[str, Share]:
        """The checks among the screens, by name."""
        return {"repeats": self.repeats, "identical": self.identical, "gold": self.gold}

    @property
    def columns(self) -> JsonObject:
        """What a row of votes says of its rater: flags, and checks met of checks answered."""
        checks = {name: [share.hits, share.n] for name, share in self.checks.items()}
        return {"rater_flags": self.flags, "rater_checks": checks}

    @property
    def flags(self) -> list[str]:
        """What speaks against this rater's votes."""
        found = [name for name, share in self.checks.items() if share.is_below(LEAST)]
        return [*found, "too_fast"] if self.unhurried.is_below(_UNHURRIED) else found

    def cells(self, labels: Iterable[str]) -> list[str]:
        """Return the figures as a row of a table, with a cell for each of `labels`."""
        counts = [str(self.labels.get(label, 0)) for label in labels]
        checks = [str(share) for share in self.checks.values()]
        seconds = "" if self.seconds is None else f"{self.seconds:.0f}"
        return [self.name, f"{self.answered}/{self.screens}", *counts, *checks, seconds]

    def to_json(self) -> JsonObject:
        """Return the figures as JSON has them."""
        return {**asdict(self), "flags": self.flags}


def assess(votes: Votes) -> list[Rater]:
    """Return the figures of each rater of the key, also of those who sent nothing."""
    return [_assess(name, len(shown), votes.of(name)) for name, shown in votes.key.raters.items()]


def _assess(name: str, screens: int, casts: Sequence[Cast]) -> Rater:
    said = [cast for cast in casts if cast.label != "skip"]
    first = {cast.place: cast.label for cast in said if cast.kind == "vote"}
    repeats = [
        cast.label == first[cast.place]
        for cast in said
        if cast.kind == "repeat" and cast.place in first
    ]
    identical = [not cast.is_preference for cast in said if cast.kind == "identical"]
    gold = [cast.label == cast.item.right for cast in said if cast.kind == "gold"]
    times = [cast.vote.ms for cast in said if cast.vote.ms is not None]
    unhurried = [cast.vote.ms >= _least_time(cast) for cast in said if cast.vote.ms is not None]
    left = [cast.vote.vote == "left" for cast in said if cast.vote.vote in ("left", "right")]
    return Rater(
        name,
        screens,
        len(casts),
        dict(Counter(c.label for c in casts if c.kind == "vote")),
        _share(repeats),
        _share(identical),
        _share(gold),
        _share(unhurried),
        median(times) / 1000 if times else None,
        _share(left),
    )


def _share(hits: Sequence[bool]) -> Share:
    return Share(sum(hits), len(hits))


def _least_time(cast: Cast) -> float:
    """Milliseconds in which nobody has read both answers; wide characters count twice."""
    text = cast.item.a + cast.item.b
    return max(_BRIEFEST, 1000 * (len(text) + len(_WIDE.findall(text))) / _FASTEST)
