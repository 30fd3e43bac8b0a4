"""From the files that came back to votes that know their sides: checked, once each, unblinded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clairkit.labels.items import Item
from clairkit.labels.key import Key, Kind
from clairkit.labels.vote_files import Vote
from clairkit.records.json_types import JsonMapping, JsonObject

_WORDS = {
    "better": ("left", "right", "tie", "bad", "skip"),
    "accept": ("accept", "reject", "skip"),
}
_LABELS = {"bad": "both_bad"}
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_AS_SAVED = "ask for the file as the page saved it"
_SHOWN = 3


@dataclass(frozen=True)
class Cast:
    """A vote, unblinded.

    Attributes:
        rater: who gave it.
        kind: a vote that counts, or a check of the rater.
        place: of the item in the key, the same for all raters.
        item: what it is on.
        label: `a`, `b`, `tie`, `both_bad`; `accept`, `reject`; or `skip`.
        left: which of A and B stood on the left.
        vote: as it was given.
    """

    rater: str
    kind: Kind
    place: int
    item: Item
    label: str
    left: str
    vote: Vote

    @property
    def is_preference(self) -> bool:
        """Whether it says which is better, or accepts or rejects."""
        return self.label in ("a", "b", "accept", "reject")


@dataclass(frozen=True)
class Votes:
    """All votes on one key.

    Attributes:
        key: the key.
        casts: of each rater in the order of the page.
        repeated: rows that say again what another says.
        replaced: rows that a later vote on the same screen replaces.
        edited: rows that are not as the page wrote them.
    """

    key: Key
    casts: tuple[Cast, ...]
    repeated: int
    replaced: int
    edited: int

    def of(self, rater: str) -> list[Cast]:
        """Return the votes of one rater."""
        return [cast for cast in self.casts if cast.rater == rater]

    def counting(self) -> list[Cast]:
        """Return the votes that are no checks and no skips."""
        return [cast for cast in self.casts if cast.kind == "vote" and cast.label != "skip"]

    def rows(self, raters: Mapping[str, JsonMapping]) -> list[JsonObject]:
        """Return a row for each vote that counts, with how its item was drawn.

        Args:
            raters: by name, the columns that say how far the rater can be relied on.
        """
        sample = {**self.key.sample, "key": self.key.digest}
        del sample["left_out"]
        return [
            {**_row(cast, self.key.question), **raters[cast.rater], "sample": sample}
            for cast in self.counting()
        ]


def collect(key: Key, votes: Iterable[Vote], *, accept_edits: bool = False) -> Votes:
    """Return the votes of all files, unblinded.

    Of two votes on one screen the later counts: a rater may save and send twice.

    Args:
        key: the pages' key.
        votes: of any number of files and raters.
        accept_edits: take rows that are not as the page wrote them, and count them.

    Raises:
        DataError: a vote belongs to another key or to none of its screens, is no word of the
            question, was edited, or contradicts another of unknown time.
    """
    last: dict[str, Vote] = {}
    repeated = replaced = 0
    found = list(votes)
    _check(key, found, accept_edits=accept_edits)
    for vote in found:
        before = last.get(vote.item)
        if before is None:
            last[vote.item] = vote
        elif before.vote == vote.vote:
            repeated += 1
        else:
            last[vote.item] = _later(before, vote)
            replaced += 1
    casts = tuple(_cast(key, last[name]) for name in key.screens if name in last)
    return Votes(key, casts, repeated, replaced, sum(cast.vote.is_edited for cast in casts))


def _check(key: Key, votes: Sequence[Vote], *, accept_edits: bool) -> None:
    words = _WORDS[key.question]
    for vote in votes:
        if vote.key != key.digest:
            remedy = "give the key that was written with these pages"
            raise vote.error("the vote belongs to pages of another key", vote.key or None, remedy)
        if vote.item not in key.screens:
            raise vote.error("the key has no such item", vote.item, _AS_SAVED)
        if vote.vote not in words:
            remedy = f"a vote is one of {', '.join(words)}"
            raise vote.error("the vote is no word of this question", vote.vote, remedy)
    edited = [vote for vote in votes if vote.is_edited]
    if edited and not accept_edits:
        listed = ", ".join(vote.item for vote in edited[:_SHOWN])
        raise edited[0].error(
            f"{len(edited)} votes are not as the page wrote them",
            listed + (", …" if len(edited) > _SHOWN else ""),
            f"{_AS_SAVED}, or take them with --accept-edits",
        )


def _later(one: Vote, other: Vote) -> Vote:
    if one.at is None or other.at is None or one.at == other.at:
        problem = "two votes on one screen contradict each other, and neither is the later one"
        remedy = "remove one of the files, or one of the rows"
        raise other.error(problem, f"{one.vote} and {other.vote} for {one.item}", remedy)
    return one if one.at > other.at else other


def _cast(key: Key, vote: Vote) -> Cast:
    rater, shown = key.screens[vote.item]
    right = "b" if shown.left == "a" else "a"
    label = {"left": shown.left, "right": right}.get(vote.vote, _LABELS.get(vote.vote, vote.vote))
    return Cast(rater, shown.kind, shown.item, key.items[shown.item], label, shown.left, vote)


def _row(cast: Cast, question: str) -> JsonObject:
    item, vote = cast.item, cast.vote
    texts: JsonObject = {"answer": item.b, "revision": item.a}
    if question == "better":
        texts = {"a": item.a, "b": item.b, "names": list(item.names), "left": cast.left}
    return {
        "id": item.id,
        "prompt": list(item.prompt),
        **texts,
        "label": cast.label,
        "rater": cast.rater,
        "ms": vote.ms,
        "at": vote.at.isoformat() if vote.at else None,
        "changes": vote.changes,
        "note": vote.note,
        "edited": vote.is_edited,
        "screen": vote.item,
    }


def first_decisions(votes: Votes) -> list[Cast]:
    """Return one vote an item, the first in time that decided: raters of one item don't add up.

    Which one that is does not depend on who it is for, so that each is a fair coin where there is
    no preference, as the e-process needs.
    """
    ordered = sorted(votes.counting(), key=lambda cast: cast.vote.at or _EARLIEST)
    first: dict[int, Cast] = {}
    for cast in ordered:
        if cast.is_preference:
            first.setdefault(cast.place, cast)
    return list(first.values())
