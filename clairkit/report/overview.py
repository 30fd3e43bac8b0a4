"""The part of the page that stands without scripts: figures, funnels, costs, health, runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clairkit.charts.scale import number
from clairkit.report.builds import build_section
from clairkit.report.entries import OWN, PairEntry
from clairkit.report.gather import Gathered, Run
from clairkit.report.histogram import Histogram, histogram
from clairkit.report.html import Cell, count_text, element, percent_text, table
from clairkit.report.language import Language
from clairkit.scoring.summary import percentile

if TYPE_CHECKING:
    from clairkit.runs.diagnosis import Finding
    from clairkit.runs.diagnosis.facts import Severity

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


def overview(gathered: Gathered, entries: Sequence[PairEntry], words: Language) -> str:
    """Return the overview as HTML: all of it escaped, without styles or scripts of its own."""
    values = sorted_values(entries)
    return "".join(
        [
            _summary(gathered, values, entries, words),
            _distributions(values, len(entries), words),
            _sources(entries, words),
            *(build_section(build, words) for build in gathered.builds),
            *(_run(run, index, words) for index, run in enumerate(gathered.runs)),
        ]
    )


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


def _summary(
    gathered: Gathered, values: Values, entries: Sequence[PairEntry], words: Language
) -> str:
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
    head = element("p", words.say("count", pairs=count_text(len(entries))), "headline")
    return head + "".join(element("p", line) for line in lines)


def _distributions(values: Values, count: int, words: Language) -> str:
    drawn = [name for name in _DRAWN if name in values]
    if "chosen_length" in drawn:  # in tokens: the same in characters says no more
        drawn = [name for name in drawn if not name.endswith("_characters")]
    drawn = drawn[:_MOST]
    figures = "".join(_figure(name, values[name], words) for name in drawn)
    lacking = max(count - len(values[name]) for name in drawn)
    note = words.say("distributions_note")
    if lacking:
        note += words.say("lacking", n=count_text(lacking))
    hint = "" if set(values) - set(OWN) else element("p", words.say("own_only"), "facts")
    return (
        element("h2", words.say("distributions"))
        + element("p", note, "facts")
        + hint
        + f"<div class='charts'>{figures}</div>"
    )


def _figure(name: str, values: Sequence[float], words: Language) -> str:
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
    return f"<figure>{element('h3', title)}{drawing}{element('figcaption', said)}</figure>"


def _sources(entries: Sequence[PairEntry], words: Language) -> str:
    """Medians by source, where there is more than one."""
    groups: dict[str, list[PairEntry]] = defaultdict(list)
    for entry in entries:
        groups[entry.source].append(entry)
    if len(groups) < 2:
        return ""
    wanted = [name for name in _DRAWN if any(name in entry.values for entry in entries)][:4]
    rows: list[list[str | Cell]] = []
    for source in sorted(groups):
        values = sorted_values(groups[source])
        cells = [number(percentile(values[n], 50)) if n in values else "" for n in wanted]
        rows.append([source, count_text(len(groups[source])), *cells])
    head = [words.say("source"), words.say("pairs")]
    head += [words.say("median_of", name=words.metric(name)) for name in wanted]
    return element("h2", words.say("by_source")) + table(head, rows)


def _run(run: Run, index: int, words: Language) -> str:
    from clairkit.runs.curves import run_section
    from clairkit.runs.diagnosis import Diagnosis

    told = run.facts.get("diagnosis") or {}
    findings = [_finding(item) for item in told.get("findings", ())]
    diagnosis = Diagnosis(findings, str(told.get("headline", "")))
    section = run_section(run.rows, diagnosis, name=f"run{index}-", phrase=words.phrase)
    facts = ""
    if {"pairs", "steps", "seconds"} <= run.facts.keys():
        keys = {key: count_text(round(run.facts[key])) for key in ("pairs", "steps", "seconds")}
        facts = element("p", words.say("run_facts", **keys), "facts")
    return (
        f"<section class='run'>{element('h2', words.say('figures_of', name=run.name))}{facts}"
        f"{section}</section>"
    )


def _finding(item: Mapping[str, Any]) -> Finding:
    """A finding of `run.json`; its level picks a style, so it has to be one that there is."""
    from clairkit.runs.diagnosis import Finding

    level = item.get("level")
    text = {key: str(item.get(key, "")) for key in ("kind", "title", "text")}
    known: Severity = level if level in ("problem", "good") else "note"
    return Finding(**text, evidence={}, level=known)


def counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, sorted by name."""
    counts = Counter(names)
    return {name: counts[name] for name in sorted(counts)}
