"""Make pairs into what the page's browser has: compact, and safe to show."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from clairkit.markup import clean, data_json
from clairkit.records import Message, Pair
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.report.diff import diff
from clairkit.report.language import Language
from clairkit.scoring import text_of

OWN = ("changed_share", "chosen_characters", "rejected_characters")
"""Figures that the page computes itself; all others come from the pairs' `scores`."""

COLUMN = "column "
"""Stands before the name of a column of the pair's own file, among its details."""

_AT_ONCE = 200  # pairs whose texts are cleaned together
_ALONE = 1_500  # pairs that one process does before the start of another would pay
_DIGITS = 4  # significant digits of a score


@dataclass
class Shared:
    """Texts that many pairs have, each kept once: model names, sampling, templates."""

    texts: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    def place(self, text: str) -> int:
        if text not in self.places:
            self.places[text] = len(self.texts)
            self.texts.append(text)
        return self.places[text]


@dataclass(frozen=True)
class PairEntry:
    """One pair, safe to show."""

    id: str  # of the pair
    source: str  # where it comes from
    file: str  # where it was first found
    flags: tuple[str, ...]  # those of `scores`, then the gates' of `provenance`
    values: Mapping[str, float]  # figures by name
    body: JsonMapping  # prompt, diff and rationale, as the browser has them
    details: Sequence[tuple[str, str]]  # names and texts of all else

    @property
    def unit(self) -> str | None:
        """The unit that `score` counted, token or grapheme; None where it did not."""
        return next((text for name, text in self.details if name == "scores.unit"), None)

    def to_json(self, metrics: Sequence[str], shared: Shared) -> JsonObject:
        """Return the pair for the browser; `shared` takes up what it shares with others."""
        values = (self.values.get(name) for name in metrics)
        return {
            "id": self.id,
            "source": self.source,
            "file": shared.place(self.file),
            "flags": self.flags,
            **self.body,
            "scores": [None if value is None else rounded(value) for value in values],
            "details": [[shared.place(name), shared.place(text)] for name, text in self.details],
        }


def make_entries(
    pairs: Sequence[Pair], files: Mapping[str, str], *, workers: int | None = None
) -> list[PairEntry]:
    """Return the entries of `pairs`, in their order.

    Args:
        pairs: what is to be shown.
        files: the name of each pair's file, by its id.
        workers: processes to share the work among; None takes as many as pay.
    """
    starts = range(0, len(pairs), _AT_ONCE)
    chunks = [pairs[start : start + _AT_ONCE] for start in starts]
    named = [[files[pair.id] for pair in chunk] for chunk in chunks]
    if workers is None:
        workers = min(_cores(), len(pairs) // _ALONE + 1)
    if workers < 2:
        made = map(_chunk, chunks, named)
        return [entry for each in made for entry in each]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return [entry for each in pool.map(_chunk, chunks, named) for entry in each]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chunk(pairs: Sequence[Pair], files: Sequence[str]) -> list[PairEntry]:
    texts = [list(_texts(pair, file)) for pair, file in zip(pairs, files, strict=True)]
    cleaned = iter(clean([text for each in texts for text in each]))
    return [
        _entry(pair, [next(cleaned) for _ in each]) for pair, each in zip(pairs, texts, strict=True)
    ]


def _texts(pair: Pair, file: str) -> Iterator[str]:
    """Every text of a pair that the page shows, in the order in which `_entry` takes them."""
    yield pair.id
    yield file
    yield _side(pair.rejected)
    yield _side(pair.chosen)
    yield pair.rationale or ""
    for turn in pair.prompt:
        yield turn["content"]
    yield from _flags(pair)
    for name, _ in _numbers(pair.scores):
        yield name
    for name, text in _details(pair):
        yield name
        yield text


def _entry(pair: Pair, texts: Sequence[str]) -> PairEntry:
    found = iter(texts)
    name, file, rejected, chosen, rationale = (next(found) for _ in range(5))
    prompt = [[turn["role"], next(found)] for turn in pair.prompt]
    flags = tuple(next(found) for _ in _flags(pair))
    scores = {next(found): value for _, value in _numbers(pair.scores)}
    difference = diff(rejected, chosen)
    body: JsonObject = {"prompt": prompt, "diff": difference.parts}
    if rationale:
        body["rationale"] = rationale
    return PairEntry(
        id=name,
        source=pair.source,
        file=file,
        flags=flags,
        values={
            **scores,
            "changed_share": difference.changed_share,
            "chosen_characters": len(chosen),
            "rejected_characters": len(rejected),
        },
        body=body,
        details=list(zip(found, found, strict=True)),  # what is left: names and texts in turn
    )


def _side(side: Sequence[Message]) -> str:
    """Return the text of a side; of several messages each with its role above it."""
    if len(side) == 1:
        return text_of(side)
    return "\n\n".join(f"{turn['role']}:\n{turn['content']}" for turn in side)


def _flags(pair: Pair) -> list[str]:
    """Flags of `score`, then of the gates of `build-pairs`, each once."""
    found = list(_listed(pair.scores.get("flags")))
    for flag in _listed(pair.provenance.get("flags")):
        found.append(flag.get("reason") if isinstance(flag, Mapping) else flag)
    return list(dict.fromkeys(flag for flag in found if isinstance(flag, str)))


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else ()


def _numbers(scores: JsonMapping) -> Iterator[tuple[str, float]]:
    for name, value in scores.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield name, value


def _details(pair: Pair) -> Iterator[tuple[str, str]]:
    """Yield what is left to say of a pair, as names and texts, but numbers and flags."""
    numbers = dict(_numbers(pair.scores))
    for name, value in pair.scores.items():
        if name not in numbers and name != "flags" and value is not None:
            yield f"scores.{name}", _text(value)
    for name, value in pair.provenance.items():
        yield name, _text(value)
    for name, value in pair.extra.items():
        yield f"{COLUMN}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def rounded(value: float) -> float:
    """Return a value as the page keeps it."""
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")


_VALUES = 20  # different values of a column that is offered as a choice; search finds the others
_VOTES = ("who", "name", "first", "said", "reply")
_LONGEST = 60  # characters of such a value


def drawn(
    entries: Sequence[PairEntry], most: int, most_bytes: int | None = None
) -> Sequence[PairEntry]:
    """Return the entries that the browser gets, drawn by a hash of their ids, in their order."""
    if len(entries) <= most and most_bytes is None:
        return entries
    ids = [entry.id.encode("utf-8", "surrogatepass") for entry in entries]
    order = sorted(range(len(entries)), key=lambda at: hashlib.sha256(ids[at]).digest())[:most]
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


def _counted(names: Iterable[str]) -> dict[str, int]:
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
