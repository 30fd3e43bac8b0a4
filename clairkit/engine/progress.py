"""Count how far a run is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from clairkit.models.sampling import Failure, Outcome


@dataclass
class Progress:
    """How far a run is. Handed to the caller after each result; not to be kept."""

    total: int | None
    """Rows in all, when that is known."""
    done: int = 0
    """Rows that need no further call."""
    resumed: int = 0
    """Of these, the rows that needed none in this run."""
    calls: Counter[str] = field(default_factory=Counter)
    """Results of this run by step."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    """US$, earlier runs of the output included; None without a price."""
    failures: Counter[str] = field(default_factory=Counter)
    """Results of this run by reason code, when they are failures."""
    started: float = field(default_factory=time.monotonic)

    def count(self, step: str, outcome: Outcome) -> None:
        """Add one result."""
        self.calls[step] += 1
        self.prompt_tokens += outcome.prompt_tokens
        self.completion_tokens += outcome.completion_tokens
        if isinstance(outcome, Failure):
            self.failures[outcome.reason] += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """The time that the rest takes at the pace so far; None when it can't be told."""
        made = self.done - self.resumed
        if self.total is None or made <= 0:
            return None
        return self.seconds / made * (self.total - self.done)


ProgressHook = Callable[[Progress], None]
