"""Say what happens to attention scores before the softmax."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scores:
    """What happens to a query's products with its keys before the softmax."""

    scale: float
    window: int | None = None  # keys further back than this are not seen; the token itself counts
    softcap: float | None = None
    dropout: float = 0.0
