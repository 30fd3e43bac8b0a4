"""How far the votes go: agreement between raters, and whether they are enough."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from clairkit.intervals import wilson
from clairkit.labels.collect import Votes, first_decisions
from clairkit.labels.items import Question
from clairkit.records.json_types import JsonObject
from clairkit.statistics.e_process import Evidence, evidence, least_share
from clairkit.statistics.reliability import krippendorff_alpha

_SIDES = {"better": ("a", "b"), "accept": ("accept", "reject")}
_MOST_E = sys.float_info.max  # JSON has no infinity
_MOST_FURTHER = 4096
"""More items than this are no plan for people."""
_FEWEST_LABELS = 20
"""`calibrate` takes no fewer."""


@dataclass(frozen=True)
class Standing:
    """What the votes show, one vote an item.

    Attributes:
        question: that was asked.
        names: what A and B are called.
        items: that were drawn.
        undecided: items on which there are only ties.
        wins: items decided for A, or accepted.
        losses: items decided for B, or rejected.
    """

    question: Question
    names: tuple[str, str]
    items: int
    undecided: int
    wins: int
    losses: int

    @property
    def decided(self) -> int:
        """Items with a decision."""
        return self.wins + self.losses

    @property
    def evidence(self) -> Evidence:
        """The evidence that one side is preferred."""
        return evidence(self.wins, self.losses, self.undecided)

    @property
    def further(self) -> int | None:
        """About how many further items are enough, if all stays as it is; None if very many."""
        more = self.evidence.more
        return None if more is None or more > _MOST_FURTHER else more

    def to_json(self) -> JsonObject:
        """Return it as JSON has it."""
        interval = wilson(self.wins, self.decided) if self.decided else None
        counts = {
            "items": self.items,
            "wins": self.wins,
            "losses": self.losses,
            "undecided": self.undecided,
        }
        share = {
            "share": self.wins / self.decided if self.decided else None,
            "low": interval and interval.low,
            "high": interval and interval.high,
        }
        if self.question == "accept":
            return {**counts, **share}
        found = self.evidence
        return {
            "names": list(self.names),
            **counts,
            **share,
            "alpha": found.alpha,
            "log_e": found.log_e,
            "e": min(found.e_value, _MOST_E),
            "enough": found.is_enough,
            "further_items": self.further,
        }

    def sentence(self) -> str:
        """Say what the votes show, and what is still needed."""
        if not self.decided:
            return "No item is decided yet."
        interval = wilson(self.wins, self.decided)
        share = (
            f"{100 * self.wins / self.decided:.0f} % [{100 * interval.low:.0f}, "
            f"{100 * interval.high:.0f}]"
        )
        if self.question == "accept":
            least = "" if self.decided >= _FEWEST_LABELS else f"; calibrate needs {_FEWEST_LABELS}"
            return f"Accepted: {self.wins} of {self.decided} items, {share}{least}."
        counts = (
            f"{self.names[0]} {self.wins}, {self.names[1]} {self.losses}, "
            f"undecided {self.undecided}: {self.names[0]} in {share} of the decisions"
        )
        return f"{counts}. E = {self.evidence.e_value:.3g}. {self._advice()}"

    def _advice(self) -> str:
        found = self.evidence
        if found.is_enough:
            ahead = self.names[self.losses > self.wins]
            return f"Enough, you may stop: people prefer {ahead} (E >= {1 / found.alpha:.0f})."
        further = self.further
        if further is None:
            least = least_share(self.items)
            power = (
                ""
                if least is None
                else f" {self.items} decisions show {100 * least:.0f} % or more."
            )
            return f"Not enough, and no preference is in sight.{power}"
        return f"Not enough: about {further} more items, if it goes on like this."


def weigh(votes: Votes) -> Standing:
    """Return what the votes show."""
    first = [cast.label for cast in first_decisions(votes)]
    wins, losses = (first.count(side) for side in _SIDES[votes.key.question])
    seen = len({cast.place for cast in votes.counting()})
    drawn = votes.key.sample["drawn"]
    return Standing(votes.key.question, votes.key.names, drawn, seen - len(first), wins, losses)


def agreement(votes: Votes) -> tuple[float | None, int]:
    """Return Krippendorff's alpha of the raters, and how many items two or more have voted on."""
    units: dict[int, list[str]] = {}
    for cast in votes.counting():
        units.setdefault(cast.place, []).append(cast.label)
    shared = [unit for unit in units.values() if len(unit) > 1]
    return (krippendorff_alpha(shared).value if shared else None), len(shared)
