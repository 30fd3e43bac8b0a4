"""Make what the page's browser has: entries as JSON, and what they can be filtered by."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from clairkit.markup import data_json
from clairkit.records.json_types import JsonObject
from clairkit.report.entries import COLUMN, PairEntry, Shared
from clairkit.report.language import Language

_VALUES = 20  # different values of a column that is offered as a choice; search finds the others
_VOTES = ("who", "name", "first", "said", "reply")
_LONGEST = 60  # characters of such a value


def drawn(
    entries: Sequence[PairEntry], most: int, most_bytes: int | None = None
) -> Sequence[PairEntry]:
    """Return the entries that the browser gets, drawn by a hash of their ids, in their order.

    Args:
        entries: all of them.
        most: so many at most.
        most_bytes: of their JSON together; at least one is kept.
    """
    if len(entries) <= most and most_bytes is None:
        return entries
    order = sorted(range(len(entries)), key=lambda at: _hash(entries[at].id))[:most]
    if most_bytes is not None:
        size = 0
        for count, at in enumerate(order):
            size += len(data_json(entries[at].to_json((), Shared())).encode())
            if size > most_bytes:
                order = order[: max(1, count)]
                break
    return [entries[at] for at in sorted(order)]


def browser_data(
    browsed: Sequence[PairEntry], metrics: Sequence[str], words: Language, listed: str
) -> str:
    """Return the data that the page's script reads.

    Args:
        browsed: the entries.
        metrics: names of figures, in order.
        words: of the page.
        listed: the figure that the list shows of each entry.
    """
    shared = Shared()
    pairs = ",\n".join(data_json(entry.to_json(metrics, shared)) for entry in browsed)
    head: JsonObject = {
        "words": words.browser,
        "metrics": [[name, words.metric(name)] for name in metrics],
        "listed": metrics.index(listed) if listed in metrics else 0,
        "sources": _counted(entry.source for entry in browsed),
        "flags": _counted(flag for entry in browsed for flag in entry.flags),
        "files": _counted(entry.file for entry in browsed),
        "columns": _columns(browsed),
        "heads": [words.say(f"votes_{name}") for name in _VOTES],
        "shared": shared.texts,
    }
    return f'{data_json(head)[:-1]},"pairs":[\n{pairs}\n]}}'


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, sorted by name."""
    counts = Counter(names)
    return {name: counts[name] for name in sorted(counts)}


def _columns(entries: Sequence[PairEntry]) -> dict[str, dict[str, int]]:
    """Return the columns of the pairs' own files that can be chosen by, and the values' counts."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        for name, text in entry.details:
            if name.startswith(COLUMN):
                found[name.removeprefix(COLUMN)][text] += 1
    return {
        name: dict(sorted(counts.items()))
        for name, counts in sorted(found.items())
        if 2 <= len(counts) <= _VALUES and max(map(len, counts)) <= _LONGEST
    }
