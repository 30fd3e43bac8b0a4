"""Queue the calls that wait for one remote model."""

from __future__ import annotations

import asyncio
from collections import deque

from clairkit.engine.program import Call
from clairkit.models.requests import Model


class ModelQueue:
    """A model's queue, and how many of its calls are under way.

    `first` is held by calls that must not overlap, until one has shown what a call costs.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.calls: deque[Call] = deque()
        self.running = 0
        self.first = asyncio.Lock()
