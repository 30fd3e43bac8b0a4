"""Choose among contenders of a calibration by agreements and leads, where that is possible."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clairkit.intervals import Difference, Interval
from clairkit.records.json_types import JsonObject


@dataclass(frozen=True)
class Agreement:
    """How often scores say what people said, on labels that they were not fitted to.

    Attributes:
        name: of what gave the scores.
        hits: for each label, in order, whether it was met.
        interval: Wilson's 95 % interval of the share of hits.
        silent: labels that it said nothing of (a failure, or a tie between A and B); no hits.
        threshold: scores above it mean yes; fitted to all labels. None where nothing is fitted.
    """

    name: str
    hits: tuple[bool, ...]
    interval: Interval
    silent: int = 0
    threshold: float | None = None

    @property
    def agreed(self) -> int:
        return sum(self.hits)

    @property
    def share(self) -> float:
        return self.agreed / len(self.hits)

    def to_json(self) -> JsonObject:
        """Return it as JSON has it; a threshold that is infinite is null."""
        return {
            "name": self.name,
            "n": len(self.hits),
            "agreed": self.agreed,
            "share": self.share,
            "low": self.interval.low,
            "high": self.interval.high,
            "silent": self.silent,
            "threshold": self.threshold if self._is_finite else None,
        }

    @property
    def _is_finite(self) -> bool:
        return self.threshold is not None and math.isfinite(self.threshold)


@dataclass(frozen=True)
class Rival:
    """How far the best is ahead of another.

    Attributes:
        name: of the other.
        difference: of the shares of hits, best minus other, at the comparison's confidence.
        labels_needed: about how many labels would tell the two apart if the difference stayed as
            it is; None when they are apart, the best is not ahead at all, or 20 times as many
            labels would not do.
    """

    name: str
    difference: Difference
    labels_needed: int | None

    @property
    def is_separable(self) -> bool:
        return self.difference.low > 0

    def to_json(self) -> JsonObject:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "lead": self.difference.estimate,
            "low": self.difference.low,
            "high": self.difference.high,
            "separable": self.is_separable,
            "labels_needed": self.labels_needed,
        }


@dataclass(frozen=True)
class Choice:
    """Which contender agrees best with people, if that can be said.

    Attributes:
        agreements: of the contenders, best first.
        constant: of the rival that knows nothing.
        chosen: the best one's name, or None: not separable.
        rivals: all others and the constant, against the best.
        confidence: of each interval in `rivals`, by Bonferroni over all comparisons of two, so
            that with 95 % all of them hold.
        choosing: agreement of the procedure as a whole: in each fold, of the contender that the
            other folds chose. The best one's own share flatters it, this does not.
    """

    agreements: tuple[Agreement, ...]
    constant: Agreement
    chosen: str | None
    rivals: tuple[Rival, ...]
    confidence: float
    choosing: Agreement

    @property
    def best(self) -> Agreement:
        return self.agreements[0]

    def to_json(self) -> JsonObject:
        """Return it as JSON has it."""
        return {
            "chosen": self.chosen,
            "contenders": [each.to_json() for each in self.agreements],
            "constant": self.constant.to_json(),
            "lead_of_the_best": [each.to_json() for each in self.rivals],
            "lead_confidence": self.confidence,
            "choosing": self.choosing.to_json(),
        }
