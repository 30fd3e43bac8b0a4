"""The page: one HTML file that loads nothing, with a policy that lets nothing else run."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from clairkit import __version__
from clairkit.charts import STYLE
from clairkit.report.document import data_json, make_document
from clairkit.report.entries import COLUMN, PairEntry, Shared, make_entries
from clairkit.report.gather import Gathered
from clairkit.report.html import element, escaped
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
    data = _data(entries, browsed, words)
    total = len(entries)
    sampled = words.say("sampled", shown=f"{len(browsed):,}", total=f"{total:,}")
    body = (
        _header(gathered, words)
        + f'<main><section id="overview" aria-label="{escaped(words.say("overview"))}">'
        + overview(gathered, entries, words)
        + "</section>"
        + f'<section id="browser">{element("h2", words.say("pairs"))}'
        + (element("p", sampled, "facts") if len(browsed) < total else "")
        + f"<noscript>{element('p', words.say('no_script'))}</noscript>"
        + '<div id="app"></div></section></main>'
    )
    return Page(_document(body, data, words), total, len(browsed))


def _drawn(entries: Sequence[PairEntry], limit: int) -> Sequence[PairEntry]:
    if len(entries) <= limit:
        return entries
    order = sorted(range(len(entries)), key=lambda at: _hash(entries[at].id))
    return [entries[at] for at in sorted(order[:limit])]


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def _header(gathered: Gathered, words: Language) -> str:
    made = words.say("made_with", version=__version__, files=", ".join(gathered.names))
    links = "".join(
        f'<a href="#{place}">{escaped(words.say(key))}</a>'
        for place, key in (("overview", "overview"), ("browser", "pairs"))
    )
    return (
        f"<header>{element('h1', words.say('title'))}{element('p', made, 'facts')}"
        f"<nav>{links}</nav></header>"
    )


def _data(entries: Sequence[PairEntry], browsed: Sequence[PairEntry], words: Language) -> str:
    metrics = metric_names(sorted_values(entries))
    shared = Shared()
    pairs = ",\n".join(data_json(entry.to_json(metrics, shared)) for entry in browsed)
    head: dict[str, Any] = {
        "words": words.words,
        "metrics": [[name, words.metric(name)] for name in metrics],
        "sources": counted(entry.source for entry in browsed),
        "flags": counted(flag for entry in browsed for flag in entry.flags),
        "files": counted(entry.file for entry in browsed),
        "columns": _columns(browsed),
        "shared": shared.texts,
    }
    return f'{data_json(head)[:-1]},"pairs":[\n{pairs}\n]}}'


def _columns(entries: Sequence[PairEntry]) -> dict[str, dict[str, int]]:
    """The columns of the pairs' own files that can be chosen by, and how often each value is."""
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


def _document(body: str, data: str, words: Language) -> str:
    return make_document(
        title=words.say("title"),
        language=words.code,
        body=body,
        data=data,
        style=STYLE + _asset("report.css"),
        script=_asset("report.js"),
    )


@cache
def _asset(name: str) -> str:
    return resources.files("clairkit.report").joinpath("assets", name).read_text("utf-8")
