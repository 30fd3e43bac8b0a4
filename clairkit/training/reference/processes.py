"""Share reference log-probs out to several processes: each computes some, all get the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed

from clairkit.batching import EncodedPair
from clairkit.errors import ClairError, ResourceError
from clairkit.training.processes import many
from clairkit.training.reference.sequences import NeededSequences

Logps = list[tuple[Tensor, Tensor]]
Given = TypeVar("Given")


def share_missing(sequences: NeededSequences) -> None:
    """Let every process miss what any of them misses: their caches need not be the same."""
    if many():
        for numbers in _from_all(sequences.missing()):
            sequences.forget(numbers)


def share_out(
    pairs: Sequence[EncodedPair], compute: Callable[[Sequence[EncodedPair]], Logps]
) -> Logps:
    """Return what `compute` says of all pairs; in several processes each does a part of the work.

    Shares are of like size: a process waits for the others no longer than theirs differ in speed.

    Raises:
        ClairError: what `compute` raised, in each process that did; the others raise one for it.
    """
    if not many():
        return compute(pairs)
    shares = _shares(pairs, distributed.get_world_size())
    own = shares[distributed.get_rank()]
    found: Logps = []
    failure: ClairError | None = None
    try:
        found = compute([pairs[place] for place in own]) if own else []
    except ClairError as error:
        failure = error
    answers = _from_all(None if failure else _packed(found))
    if failure is not None:
        raise failure
    known = [answer for answer in answers if answer is not None]
    if len(known) < len(answers):
        raise ResourceError(
            "another process could not compute its share of the reference",
            remedy="its own message says why",
        )
    result: dict[int, tuple[Tensor, Tensor]] = {}
    for share, (flat, lengths) in zip(shares, known, strict=True):
        sides = torch.split(flat, lengths)
        result |= zip(share, zip(sides[::2], sides[1::2], strict=True), strict=True)
    return [result[place] for place in range(len(pairs))]


def _shares(pairs: Sequence[EncodedPair], count: int) -> list[list[int]]:
    """Deal the pairs out, the longest first, so that all shares are of like work."""
    order = sorted(range(len(pairs)), key=lambda place: (-_tokens(pairs[place]), place))
    shares: list[list[int]] = [[] for _ in range(count)]
    for number, place in enumerate(order):
        turn, at = divmod(number, count)
        # there and back again: else the first share got the largest of each round
        shares[at if turn % 2 == 0 else count - 1 - at].append(place)
    return shares


def _tokens(pair: EncodedPair) -> int:
    return len(pair.prompt_ids) + len(pair.chosen_ids) + len(pair.rejected_ids)


def _packed(found: Logps) -> tuple[Tensor, list[int]]:
    sides = [side for both in found for side in both]
    return torch.cat([*sides, torch.zeros(0)]), [len(side) for side in sides]


def _from_all(mine: Given) -> list[Given]:
    answers: list[Given] = [mine] * distributed.get_world_size()
    distributed.all_gather_object(answers, mine)
    return answers
