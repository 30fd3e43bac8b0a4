"""Queue the calls that wait for one remote model."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from clairkit.engine.program import Call
from clairkit.models.requests import Model

RAMP_SECONDS = 0.005
"""How far apart a model's calls begin, at least, when none is under way yet."""


class ModelQueue:
    """A model's queue, and how many of its calls are under way.

    `first` is held by calls that must not overlap, until one has shown what a call costs.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.calls: deque[Call] = deque()
        self.running = 0
        self.first = asyncio.Lock()
        self._next_start = 0.0

    async def take_turn(self) -> None:
        """Wait until `RAMP_SECONDS` after another began.

        Calls that begin together are answered together, and then wait for each other at every
        step. Begun one by one, they stay apart.
        """
        now = time.monotonic()
        start = max(now, self._next_start)
        self._next_start = start + RAMP_SECONDS
        if start > now:
            await asyncio.sleep(start - now)
