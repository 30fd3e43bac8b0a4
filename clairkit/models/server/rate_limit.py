"""Limit the requests and tokens of a minute."""

from __future__ import annotations

import asyncio
import time

from clairkit.models.budget import Budget

_BYTES_PER_TOKEN = 4  # roughly, for what a request claims before its tokens are counted
_LOOK_AGAIN = 0.1  # seconds


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

        Args:
            size: bytes of the request.
            longest: tokens that its reply may have.
            budget: of the run.

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
