"""Decide when a request is made again, how long to wait before, and when to give up."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class RetryPolicy:
    """How a failed request is tried again."""

    tries: int = 6
    """Requests for one row, the first included."""
    base: float = 0.5
    """The shortest wait, in seconds."""
    cap: float = 30.0
    """The longest wait that we choose ourselves."""
    longest_wait: float = 120.0
    """A server that asks for a longer wait than this ends the run."""
    consecutive: int = 5
    """So many rows in a row that failed to the last try end the run."""


def next_wait(policy: RetryPolicy, previous: float) -> float:
    """Return a wait by decorrelated jitter: random, growing, at most the cap."""
    top = max(policy.base, min(policy.cap, 3 * previous))
    return random.uniform(policy.base, top)


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header; None when there is none that makes sense."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = _until(header, now or datetime.now(UTC))
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _until(header: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(header)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return math.nan


class Limiter:
    """How many requests may run at once: halved when the server asks for less, slowly regained.

    Args:
        concurrency: the most requests at once.
    """

    def __init__(self, concurrency: int) -> None:
        self._top = concurrency
        self._running = 0
        self._successes = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self.allowed = concurrency

    async def enter(self) -> None:
        """Take one of the allowed places, in turn; `leave` gives it back."""
        if self._queue or self._running >= self.allowed:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # its place was given already
                    self.leave()
                raise
        else:
            self._running += 1

    def leave(self) -> None:
        """Give a place back."""
        self._running -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._queue and self._running < self.allowed:
            turn = self._queue.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)

    def slow_down(self) -> None:
        """The server is overloaded: allow half as many."""
        self.allowed = max(1, self.allowed // 2)
        self._successes = 0

    def succeed(self) -> None:
        """A request went well; as many of them as are allowed at once win one place back."""
        self._successes += 1
        if self.allowed < self._top and self._successes >= self.allowed:
            self.allowed += 1
            self._successes = 0
            self._let_in()


class Breaker:
    """Counts rows that failed to their last try, one after the other."""

    def __init__(self, consecutive: int) -> None:
        self._limit = consecutive
        self.failed = 0

    def record(self, *, succeeded: bool) -> bool:
        """Count a row; True when it is time to stop."""
        self.failed = 0 if succeeded else self.failed + 1
        return self.failed >= self._limit
