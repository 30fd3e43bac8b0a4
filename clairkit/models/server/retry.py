"""Decide when a request is made: how fast, how often again, and when to give up."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from clairkit.models.budget import Budget

_BYTES_PER_TOKEN = 4  # roughly, for what a request claims before its tokens are counted
_LOOK_AGAIN = 0.1  # seconds


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


class RateLimit:
    """Spreads requests, or tokens, evenly: so many a minute, and no more.

    Args:
        per_minute: how many.
    """

    def __init__(self, per_minute: float) -> None:
        self._seconds = 60.0 / per_minute
        self._free_at = 0.0
        self.turn = asyncio.Lock()
        """Held by the one who waits first."""

    def wait(self, now: float) -> float:
        """Return the seconds until more may be used; 0 when that is now."""
        return max(0.0, self._free_at - now)

    def use(self, amount: float, now: float) -> None:
        """Use `amount` of what is allowed."""
        self._free_at = max(now, self._free_at) + amount * self._seconds

    def correct(self, amount: float) -> None:
        """So much more than was said has been used; less when it is negative."""
        self._free_at += amount * self._seconds


class Allowance:
    """What one model of a server may be asked.

    Args:
        requests_per_minute: None is no limit.
        tokens_per_minute: of prompts and replies; None is no limit.
    """

    def __init__(
        self, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self._requests = None if requests_per_minute is None else RateLimit(requests_per_minute)
        self._tokens = None if tokens_per_minute is None else RateLimit(tokens_per_minute)
        self._replies = 0
        self._reply_tokens = 0

    async def claim(self, size: int, longest: int, budget: Budget) -> float | None:
        """Wait until a request may be made; None when the run stopped in the meantime.

        Returns:
            The tokens that are counted for it until `settle` says better.
        """
        if self._requests is not None:
            async with self._requests.turn:
                if not await _waited(self._requests, budget):
                    return None
                self._requests.use(1, time.monotonic())
        if self._tokens is None:
            return 0.0
        async with self._tokens.turn:
            if not await _waited(self._tokens, budget):
                return None
            mean = self._reply_tokens / self._replies if self._replies else longest
            claimed = size / _BYTES_PER_TOKEN + mean
            self._tokens.use(claimed, time.monotonic())
            return claimed

    def seconds_left(self) -> float:
        """Return the seconds until another request may be made."""
        paces = (self._requests, self._tokens)
        now = time.monotonic()
        return max((pace.wait(now) for pace in paces if pace is not None), default=0.0)

    def settle(self, claimed: float, prompt_tokens: int, completion_tokens: int) -> None:
        """Count what a request took instead of what it claimed; nothing when it failed."""
        if self._tokens is None:
            return
        if completion_tokens:
            self._replies += 1
            self._reply_tokens += completion_tokens
        self._tokens.correct(prompt_tokens + completion_tokens - claimed)


async def _waited(pace: RateLimit, budget: Budget) -> bool:
    """Wait for a pace; False when the run stopped in the meantime."""
    while wait := pace.wait(time.monotonic()):
        # Not all at once: what others really took may make it shorter.
        if not await budget.sleep(min(wait, _LOOK_AGAIN)):
            return False
    return True
