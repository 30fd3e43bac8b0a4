"""Tell which side of a pair is what the target itself said."""

from __future__ import annotations

from typing import Literal

from clairkit.records import Pair

# Methods whose rejected side is the target's own answer; with `worsen` the chosen side is.
_OWN_REJECTED = frozenset({"clair", "stronger_preferred"})


def own_side(pair: Pair) -> Literal["chosen", "rejected"] | None:
    """Return the side that is the target's own answer; None where the file does not tell.

    Of pairs that a judge chose, the rejected side is the worse one of several answers, or another
    model's: neither is what the target would have said.
    """
    if pair.provenance.get("worsen") is True:
        return "chosen"
    return "rejected" if pair.source in _OWN_REJECTED else None
