"""Make the page of pairs and runs: an overview, and a browser of the pairs."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clairkit import __version__
from clairkit.charts import STYLE
from clairkit.markup import asset, data_json, render_page
from clairkit.report.entries import COLUMN, PairEntry, Shared, make_entries
from clairkit.report.gather import Gathered
from clairkit.report.language import Language
from clairkit.report.overview import counted, metric_names, overview, sorted_values

_VALUES = 20  # different values of a column that is offered as a choice; search finds the others
_LONGEST = 60  # characters of such a value


@dataclass(frozen=True)
class Page:
    """A page as text, how many pairs it counts, and how many its browser has."""

    html: str
    pairs: int
    browsed: int


def make_page(gathered: Gathered, words: Language, *, max_pairs: int) -> Page:
    """Return the page of what was gathered. The same input gives the same bytes, in any order.

    Args:
        gathered: pairs, builds and runs.
        words: the language of the page.
        max_pairs: how many pairs the browser gets, drawn by a hash of their ids; figures are of
            all pairs.
    """
    entries = make_entries(gathered.pairs, gathered.files)
    words = words.in_units(unit for entry in entries if (unit := entry.unit))
    browsed = _drawn(entries, max_pairs)
    total = len(entries)
    sampled = words.say("sampled", shown=f"{len(browsed):,}", total=f"{total:,}")
    html = render_page(
        "report/templates/page.html",
        style=STYLE + asset("assets/page.css") + asset("report/assets/report.css"),
        script=asset("report/assets/report.js"),
        data=_data(entries, browsed, words),
        language=words.code,
        title=words.say("title"),
        say=words.say,
        made=words.say("made_with", version=__version__, files=", ".join(gathered.names)),
        sampled=sampled if len(browsed) < total else "",
        **overview(gathered, entries, words),
    )
    return Page(html, total, len(browsed))


def _drawn(entries: Sequence[PairEntry], limit: int) -> Sequence[PairEntry]:
    if len(entries) <= limit:
        return entries
    order = sorted(range(len(entries)), key=lambda at: _hash(entries[at].id))
    return [entries[at] for at in sorted(order[:limit])]


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def _data(entries: Sequence[PairEntry], browsed: Sequence[PairEntry], words: Language) -> str:
    metrics = metric_names(sorted_values(entries))
    shared = Shared()
    pairs = ",\n".join(data_json(entry.to_json(metrics, shared)) for entry in browsed)
    head: dict[str, Any] = {
        "words": words.browser,
        "metrics": [[name, words.metric(name)] for name in metrics],
        "sources": counted(entry.source for entry in browsed),
        "flags": counted(flag for entry in browsed for flag in entry.flags),
        "files": counted(entry.file for entry in browsed),
        "columns": _columns(browsed),
        "shared": shared.texts,
    }
    return f'{data_json(head)[:-1]},"pairs":[\n{pairs}\n]}}'


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
