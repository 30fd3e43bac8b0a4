"""Make the page of pairs and runs: an overview, and a browser of the pairs."""

from __future__ import annotations

from dataclasses import dataclass

from clairkit import __version__
from clairkit.charts import STYLE
from clairkit.markup import asset, render_page
from clairkit.report.browser import browser_data, drawn
from clairkit.report.entries import make_entries
from clairkit.report.gather import Gathered
from clairkit.report.language import Language
from clairkit.report.overview import metric_names, overview, sorted_values


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
    browsed = drawn(entries, max_pairs)
    metrics = metric_names(sorted_values(entries))
    total = len(entries)
    sampled = words.say("sampled", shown=f"{len(browsed):,}", total=f"{total:,}")
    html = render_page(
        "report/templates/page.html",
        style=STYLE + asset("assets/page.css") + asset("report/assets/report.css"),
        script=asset("report/assets/report.js"),
        data=browser_data(browsed, metrics, words, "changed_share"),
        language=words.code,
        title=words.say("title"),
        say=words.say,
        made=words.say("made_with", version=__version__, files=", ".join(gathered.names)),
        sampled=sampled if len(browsed) < total else "",
        **overview(gathered, entries, words),
    )
    return Page(html, total, len(browsed))
