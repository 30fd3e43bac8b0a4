"""Make the page of a sweep: the choice, the grid as a heat map, halving as lines."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from clairkit import __version__
from clairkit.charts import STYLE, Chart, Series, line_chart
from clairkit.charts.heat import HeatCell, heat_map
from clairkit.errors import DataError
from clairkit.markup import Markup, asset, render_page
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.report.language import Language, count_text
from clairkit.report.page import Page

SWEEP = "sweep.json"
_MOST_LINES = 6


def is_sweep(path: Path) -> bool:
    """Whether a folder is one of `clairkit sweep` that has a result."""
    return (path / SWEEP).is_file()


def make_sweep_page(path: Path, words: Language) -> Page:
    """Return the page of a sweep's folder. The same sweep gives the same bytes.

    Args:
        path: the folder.
        words: the language of the page.

    Raises:
        DataError: its result can't be read, or is of another version.
    """
    found = _read(path / SWEEP)
    rows = found["table"]
    html = render_page(
        "report/templates/sweep.html",
        style=STYLE + asset("assets/page.css") + asset("report/assets/report.css"),
        language=words.code,
        title=words.say("sweep_title"),
        say=words.say,
        made=words.say("eval_made", version=__version__, name=path.absolute().name),
        choice=_choice(found, words),
        command=found["command"] or "",
        lines=list(_lines(found, words)),
        heat=Markup(_heat(found, words)) if found["grid"] else "",
        halving=Markup(_halving(found, words)) if len(found["rungs"]) > 1 else "",
        settings=[_setting(row, words) for row in rows],
        guards=[[row["label"], *guard] for row in rows for guard in _guards(row, words)],
        sources=[_source(name, each) for name, each in found["sources"].items()],
        died=[
            [each["name"], each["died_of"]["kind"], each["died_of"]["reason"]]
            for each in found["trials"]
            if each["died_of"]
        ],
    )
    return Page(html, len(rows), len(rows))


def _read(path: Path) -> JsonObject:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != 1 or not found.keys() >= {"grid", "table", "trials", "rungs"}:
            raise DataError("is of another version", path=path, received=found["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"is no result of a sweep ({error})", path=path) from error
    result: JsonObject = found
    return result


def _choice(found: JsonMapping, words: Language) -> tuple[str, str, str]:
    """Return level, words and reason of the choice."""
    near, chosen = found["within_one_standard_error"], found["choice"]
    if chosen is not None:
        reason = words.say("sweep_near", count=len(near), best=found["best"])
        return "good", words.say("sweep_choice", label=near[0]), reason
    if found["best"] is not None and not found["separable"]:
        return "note", words.say("sweep_open"), words.say("sweep_open_why", best=found["best"])
    return "problem", words.say("sweep_none"), words.say("sweep_none_why")


def _lines(found: JsonMapping, words: Language) -> Iterator[str]:
    spent = found["spent"]
    trials = found["trials"]
    yield words.say(
        "sweep_spent",
        trials=count_text(sum(bool(each["rungs"]) for each in trials)),
        all=count_text(len(trials)),
        steps=count_text(spent["steps"]),
        hours=f"{spent['hours']:.1f}",
        usd=f"{spent['usd']:.2f}",
    )
    yield words.say(
        "sweep_metric", prompts=found["metric"]["prompts"], file=found["metric"]["file"]
    )
    yield words.say("sweep_equal", how=words.phrase(found["equal"]))


def _heat(found: JsonMapping, words: Language) -> str:
    grid = found["grid"]
    chosen = found["within_one_standard_error"][:1] if found["choice"] is not None else []
    cells = [
        [None if each is None else _cell(each, chosen) for each in row["cells"]]
        for row in grid["rows"]
    ]
    names = [row["source"] or words.say("pairs") for row in grid["rows"]]
    return heat_map(names, grid["columns"], cells, words.say("sweep_heat"))


def _cell(row: JsonMapping, chosen: Sequence[str]) -> HeatCell:
    ends = "" if row["low"] is None else f"{_points(row['low'])} … {_points(row['high'])}"
    text = _points(row["estimate"]) + (f" ({row['share']:.0%})" if row["share"] < 1 else "")
    return HeatCell(row["estimate"], text, ends, row["label"] in chosen)


def _halving(found: JsonMapping, words: Language) -> str:
    """Return the mean change of settings by rung; of more than six, those that went furthest."""
    by_rung: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    labels = {_key(row, found): row["label"] for row in found["table"]}
    for trial in found["trials"]:
        for rung in trial["rungs"]:
            by_rung[_key(trial, found)][rung["share"]].append(rung["change"])
    lines = {
        labels[key]: [(100 * share, 100 * fmean(each)) for share, each in sorted(rungs.items())]
        for key, rungs in by_rung.items()
        if key in labels
    }
    ranked = sorted(lines.items(), key=lambda item: (-len(item[1]), -item[1][-1][1]))
    shown = [Series(label, points, at) for at, (label, points) in enumerate(ranked[:_MOST_LINES])]
    chart = Chart(
        "halving",
        words.say("sweep_halving"),
        words.say("sweep_halving_note", shown=len(shown), count=len(ranked)),
        shown,
        x_label=words.say("sweep_share"),
        baseline=0.0,
    )
    return line_chart(chart)


def _key(row: JsonMapping, found: JsonMapping) -> str:
    """Return what a setting is known by, in the rows of trials as of settings."""
    return json.dumps([row.get("pairs"), *(row[name] for name in found["factors"])])


def _setting(row: JsonMapping, words: Language) -> list[str]:
    ends = "-" if row["low"] is None else f"{_points(row['low'])} … {_points(row['high'])}"
    seeds = ", ".join(map(_points, row["by_seed"]))
    return [row["label"], _points(row["estimate"]), ends, seeds, f"{row['share']:.0%}"]


def _guards(row: JsonMapping, words: Language) -> Iterator[list[str]]:
    for each in row["guards"]:
        lower = "-" if each["lower"] is None else f"{each['lower']:+.4g}"
        status = words.say(each["status"])
        yield [each["name"], status, f"{each['estimate']:+.4g}", lower, f"{each['margin']:.4g}"]


def _source(name: str, facts: Mapping[str, Any]) -> list[str]:
    contrast = facts["contrastiveness"]
    return [
        name or facts["source"],
        f"{count_text(facts['pairs'])} / {count_text(facts['of_pairs'])}",
        f"{count_text(facts['tokens'])} / {count_text(facts['of_tokens'])}",
        "-" if contrast is None else f"{contrast:.3f}",
    ]


def _points(change: float) -> str:
    return f"{100 * change:+.1f}"
