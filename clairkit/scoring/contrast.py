"""Compute contrastiveness: how much of a pair is held fixed around what it contrasts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contrast:
    """A pair's contrastiveness and its parts, each in [0, 1].

    Attributes:
        length_balance: 2 min(n_W, n_L) / (n_W + n_L): what share both sides could have in common
            at their lengths; 1 when both are empty.
        overlap: units that are equal on both sides, in order, after clean-up, as a share of the
            shorter side; 0 when a side is empty.
        contrastiveness: their product, which is the share of all units of the pair that both
            sides have in common; 0 when nothing differs.
    """

    length_balance: float
    overlap: float
    contrastiveness: float


def contrast_of(shared: int, chosen: int, rejected: int, *, differs: bool) -> Contrast:
    """Return the contrastiveness of a pair with its parts.

    Args:
        shared: equal units outside of the cleaned edit spans.
        chosen: units of chosen, n_W.
        rejected: units of rejected, n_L.
        differs: whether the sides differ in more than white space: a pair that does not shows no
            preference, however much it shares.
    """
    shorter, both = min(chosen, rejected), chosen + rejected
    balance = 2 * shorter / both if both else 1.0
    overlap = shared / shorter if shorter else 0.0
    return Contrast(balance, overlap, 2 * shared / both if differs and both else 0.0)
