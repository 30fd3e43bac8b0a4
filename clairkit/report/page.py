"""Make the page of pairs and runs: an overview, and a browser of the pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clairkit import __version__
from clairkit.charts import STYLE
from clairkit.charts.model import Histogram
from clairkit.charts.scale import number
from clairkit.markup import Markup, asset, render_page
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.report.entries import OWN, PairEntry, browser_data, drawn, make_entries
from clairkit.report.gather import Build, Gathered, Run
from clairkit.report.histogram import histogram
from clairkit.report.language import Language, count_text, percent_text
from clairkit.scoring.summary import percentile

_METER = Markup(
    '<svg class="meter" viewBox="0 0 160 10" width="160" height="10" aria-hidden="true">'
    '<rect class="f0" width="{:.1f}" height="10"/></svg>'
)


def build_values(build: Build, words: Language) -> JsonObject:
    """Return what the template of a build takes; empty lists for what there is not."""
    card = build.health or {}
    settings = build.entry.get("settings") or {}
    return {
        "name": build.name,
        "funnel": _funnel(build, words),
        "reasons": build.reasons,
        "costs": _costs(build.entry, words),
        "settings": [[name, str(value)] for name, value in settings.items()],
        "state": words.phrase(str(card.get("state"))),
        "health": [_health(each, words) for each in (card.get("findings") or {}).values()],
    }


def _funnel(build: Build, words: Language) -> list[list[str]]:
    from clairkit.models.reasons import reason

    entry = build.entry
    counts: Mapping[str, int] = entry.get("counts") or {
        each.code: each.count for each in build.reasons
    }
    pairs = entry.get("pairs")
    if not counts and pairs is None:
        return []
    total = sum(counts.values()) + (pairs or 0) + entry.get("unfinished", 0)
    lines: list[tuple[str, int]] = [] if pairs is None else [(words.say("became_pair"), pairs)]
    for code, n in counts.items():
        lines.append((f"{code}: {words.reasons.get(code) or reason(code).meaning}", n))
    if entry.get("unfinished"):
        lines.append((words.say("unfinished"), entry["unfinished"]))
    rows = [
        [
            name,
            count_text(n),
            percent_text(n / total) if total else "",
            _METER.format(160 * n / total if total else 0),
        ]
        for name, n in lines
    ]
    for code, n in (entry.get("flags") or {}).items():
        rows.append([words.say("flagged", code=code), count_text(n), "", ""])
    return rows


def _costs(entry: JsonMapping, words: Language) -> list[list[str]]:
    if "calls" not in entry:
        return []
    tokens, cost, pairs = entry.get("tokens") or {}, entry.get("cost"), entry.get("pairs")
    rows = [[words.say("calls"), count_text(entry["calls"])]]
    rows += [
        [words.say(f"tokens_{kind}"), count_text(tokens[kind])]
        for kind in ("prompt", "completion")
        if kind in tokens
    ]
    rows.append([words.say("cost"), words.say("unknown") if cost is None else f"{cost:.2f}"])
    if cost is not None and pairs:
        rows.append([words.say("cost_pair"), f"{cost / pairs:.4f}"])
    return rows


def _health(finding: JsonMapping, words: Language) -> list[str]:
    interval, share = finding.get("interval"), finding.get("share")
    return [
        str(finding.get("label")),
        "" if share is None else f"{percent_text(share)} ({finding['hits']}/{finding['n']})",
        "" if interval is None else f"{percent_text(interval[0])} - {percent_text(interval[1])}",
        percent_text(finding["threshold"]),
        words.phrase(str(finding.get("verdict"))),
    ]


# Which figures are drawn, the most telling first; at most so many. Contrastiveness has its parts
# beside it.
_DRAWN = (
    "contrastiveness",
    "length_balance",
    "overlap",
    "changed_share",
    "edit_share_chosen",
    "edit_share_rejected",
    "edit_spans",
    "length_ratio",
    "chosen_length",
    "rejected_length",
    "indel_similarity",
    "chosen_characters",
    "rejected_characters",
)
_MOST = 9

Values = Mapping[str, Sequence[float]]


def overview(gathered: Gathered, entries: Sequence[PairEntry], words: Language) -> JsonObject:
    """Return what the template of the overview takes."""
    values = sorted_values(entries)
    drawn = _drawn(values)
    lacking = max(len(entries) - len(values[name]) for name in drawn)
    return {
        "count": words.say("count", pairs=count_text(len(entries))),
        "lines": _lines(gathered, values, entries, words),
        "lacking": count_text(lacking) if lacking else "",
        "own_only": not set(values) - set(OWN),
        "figures": [_figure(name, values[name], words) for name in drawn],
        "sources": _sources(entries, words),
        "builds": [build_values(build, words) for build in gathered.builds],
        "runs": [run_values(run, index, words) for index, run in enumerate(gathered.runs)],
    }


def sorted_values(entries: Iterable[PairEntry]) -> dict[str, list[float]]:
    """Return the values of each figure in ascending order; figures by name."""
    found: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        for name, value in entry.values.items():
            found[name].append(value)
    return {name: sorted(found[name]) for name in sorted(found)}


def metric_names(values: Values) -> list[str]:
    """Return the names of all figures: those that are drawn first, then the others."""
    first = [name for name in _DRAWN if name in values]
    return first + [name for name in values if name not in first]


def _lines(
    gathered: Gathered, values: Values, entries: Sequence[PairEntry], words: Language
) -> list[str]:
    changed = values["changed_share"]
    ratios = sorted(
        entry.values["chosen_characters"] / entry.values["rejected_characters"]
        for entry in entries
        if entry.values["rejected_characters"]
    )
    lines = [
        words.say(
            "typical",
            share=percent_text(percentile(changed, 50)),
            ratio=number(percentile(ratios, 50)) if ratios else "-",
            low=percent_text(percentile(changed, 10)),
            high=percent_text(percentile(changed, 90)),
        )
    ]
    for build in gathered.builds:
        rows, pairs = build.entry.get("rows"), build.entry.get("pairs")
        if isinstance(rows, int) and isinstance(pairs, int) and rows:
            share = percent_text(pairs / rows)
            lines.append(
                words.say(
                    "from_prompts", pairs=count_text(pairs), rows=count_text(rows), share=share
                )
            )
    if gathered.skipped:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(gathered.skipped.items()))
        lines.append(words.say("skipped", counts=counts))
    return lines


def _drawn(values: Values) -> list[str]:
    """Return the figures that are drawn, the most telling first."""
    drawn = [name for name in _DRAWN if name in values]
    if "chosen_length" in drawn:  # in tokens: the same in characters says no more
        drawn = [name for name in drawn if not name.endswith("_characters")]
    return drawn[:_MOST]


def _figure(name: str, values: Sequence[float], words: Language) -> tuple[str, Markup, str]:
    median = percentile(values, 50)
    said = words.say(
        "histogram",
        n=count_text(len(values)),
        median=number(median),
        low=number(percentile(values, 10)),
        high=number(percentile(values, 90)),
    )
    title = words.metric(name)
    drawing = histogram(Histogram(f"spread-{name}", title, said, values, median))
    return title, Markup(drawing), said


def _sources(
    entries: Sequence[PairEntry], words: Language
) -> tuple[list[str], list[list[str]]] | None:
    """Return head and rows of the medians by source, where there is more than one source."""
    groups: dict[str, list[PairEntry]] = defaultdict(list)
    for entry in entries:
        groups[entry.source].append(entry)
    if len(groups) < 2:
        return None
    wanted = [name for name in _DRAWN if any(name in entry.values for entry in entries)][:4]
    rows: list[list[str]] = []
    for source in sorted(groups):
        values = sorted_values(groups[source])
        cells = [number(percentile(values[n], 50)) if n in values else "" for n in wanted]
        rows.append([source, count_text(len(groups[source])), *cells])
    head = [words.say("source"), words.say("pairs")]
    head += [words.say("median_of", name=words.metric(name)) for name in wanted]
    return head, rows


def run_values(run: Run, index: int, words: Language) -> JsonObject:
    """Return what the template of a training run takes; `index` tells its charts apart."""
    from clairkit.runs.curves import run_section
    from clairkit.runs.diagnosis import retold

    told = run.facts.get("diagnosis")
    diagnosis = retold(told if isinstance(told, Mapping) else {}, words.code)
    section = run_section(run.rows, diagnosis, name=f"run{index}-", language=words.code)
    keys = ("pairs", "steps", "seconds")
    facts = {key: count_text(round(run.facts[key])) for key in keys if key in run.facts}
    return {"name": run.name, "facts": facts if len(facts) == len(keys) else {}, "section": section}


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
