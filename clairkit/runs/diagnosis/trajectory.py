"""Read metrics.jsonl as levels at the start and at the end of a run with their noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Row = Mapping[str, Any]

# The first and the last quarter of so many rows hold two each: with less there is no noise to
# compare a change with.
ENOUGH_ROWS = 8
# Standard errors that a level must be away from 0 to count: about one in twenty by chance.
CLEAR = 2.0


@dataclass(frozen=True)
class Level:
    """A mean over logged rows."""

    value: float
    error: float  # standard error of the mean, from the spread of the rows
    rows: int

    @property
    def clear(self) -> bool:
        """Return whether the noise does not explain its sign."""
        return abs(self.value) > CLEAR * self.error

    @property
    def up(self) -> bool:
        return self.clear and self.value > 0

    @property
    def down(self) -> bool:
        return self.clear and self.value < 0


@dataclass(frozen=True)
class Trajectory:
    """A run's training rows and held-out rows, in order of steps."""

    train: Sequence[Row]
    held_out: Sequence[Row]  # without the prefix eval_

    @property
    def enough(self) -> bool:
        """Return whether a start and an end can be told apart."""
        return len(self.train) >= ENOUGH_ROWS

    @cached_property
    def window(self) -> int:
        """Rows in the first and in the last quarter."""
        return max(2, len(self.train) // 4)

    def start(self, name: str) -> Level | None:
        """Return the mean of the first quarter of the training rows."""
        return level(self.train[: self.window], name)

    def end(self, name: str) -> Level | None:
        """Return the mean of the last quarter of the training rows."""
        return level(self.train[-self.window :], name)

    def last_held_out(self, name: str) -> float | None:
        """Return the value of the last evaluation."""
        found = series(self.held_out, name)
        return found[-1][1] if found else None


def read_rows(rows: Sequence[Row]) -> Trajectory:
    """Sort rows of metrics.jsonl into training and held-out ones; the closing row is neither."""
    train = [row for row in rows if _is_number(row.get("loss"))]
    held_out = [
        {"step": row.get("step", 0)}
        | {
            name.removeprefix("eval_"): value
            for name, value in row.items()
            if name.startswith("eval_")
        }
        for row in rows
        if _is_number(row.get("eval_loss"))
    ]
    return Trajectory(train, held_out)


def level(rows: Sequence[Row], name: str) -> Level | None:
    """Return the mean of a metric over the rows that have it; None when none has."""
    values = [value for _, value in series(rows, name)]
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return Level(statistics.fmean(values), spread / math.sqrt(len(values)), len(values))


def series(rows: Sequence[Row], name: str) -> list[tuple[float, float]]:
    """Return step and value of a metric where it was logged and is finite."""
    return [(row.get("step", 0), row[name]) for row in rows if _is_number(row.get(name))]


def product(rows: Sequence[Row], first: str, second: str) -> float | None:
    """Return the mean over rows of the product of two metrics."""
    found = [
        row[first] * row[second]
        for row in rows
        if _is_number(row.get(first)) and _is_number(row.get(second))
    ]
    return statistics.fmean(found) if found else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
