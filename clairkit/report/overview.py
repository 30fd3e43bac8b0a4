"""Lay out what stands without scripts: figures of the pairs, builds and runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from clairkit.charts.scale import number
from clairkit.markup import Markup
from clairkit.records.json_types import JsonObject
from clairkit.report.builds import build_values
from clairkit.report.entries import OWN, PairEntry
from clairkit.report.gather import Gathered, Run
from clairkit.report.histogram import Histogram, histogram
from clairkit.report.language import Language, count_text, percent_text
from clairkit.scoring.summary import percentile

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
    """Return title, drawing and caption."""
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
    return {
        "name": run.name,
        "facts": facts if len(facts) == len(keys) else {},
        "section": section,
    }
