"""Make the page of a run: diagnosis and curves in one HTML file, without scripts or loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clairkit.charts import STYLE, Chart, Point, Series, area_chart, line_chart
from clairkit.charts.scale import number
from clairkit.markup import Markup, asset, render, render_page
from clairkit.runs.diagnosis import Diagnosis, RunFacts
from clairkit.runs.diagnosis.trajectory import Row, Trajectory, read_rows, series
from clairkit.texts import texts

_TEXTS = "runs/texts"


@dataclass(frozen=True)
class _Figure:
    """A chart to be: curves as (label, metric); its texts stand in `texts/` under its name."""

    name: str
    curves: Sequence[tuple[str, str]]
    styles: Sequence[int] = (0, 1, 2)
    baseline: float | None = None
    stacked: bool = False


_FIGURES = (
    _Figure("loss", [("loss", "loss")]),
    _Figure(
        "rewards",
        [
            ("chosen", "rewards/chosen"),
            ("rejected", "rewards/rejected"),
            ("margin", "rewards/margins"),
        ],
        baseline=0.0,
    ),
    _Figure("likelihood", [("chosen", "logps/chosen"), ("rejected", "logps/rejected")]),
    _Figure(
        "quadrants",
        [
            ("as wanted", "quadrants/chosen_up_rejected_down"),
            ("both up", "quadrants/chosen_up_rejected_up"),
            ("both down", "quadrants/chosen_down_rejected_down"),
            ("inverted", "quadrants/chosen_down_rejected_up"),
        ],
        styles=(2, 0, 1, 3),
        stacked=True,
    ),
    *(
        _Figure(
            f"{side}-tokens",
            [(part, f"logratio/{side}_{part}") for part in ("edited", "shared", "end")],
            styles=(3, 4, 5),
            baseline=0.0,
        )
        for side in ("chosen", "rejected")
    ),
    _Figure(
        "accuracy",
        [
            ("accuracy", "rewards/accuracies"),
            ("sat. chosen", "saturation/chosen"),
            ("sat. rejected", "saturation/rejected"),
        ],
        styles=(2, 0, 1),
        baseline=0.5,
    ),
    _Figure("kl", [("distance", "kl/rejected")], baseline=0.0),
)


def training_page(rows: Sequence[Row], diagnosis: Diagnosis, title: str, facts: RunFacts) -> str:
    """Return the page as HTML that is well-formed XML, too.

    Args:
        rows: of metrics.jsonl.
        diagnosis: made of the same rows.
        title: the run's name; shown as text whatever it holds.
        facts: what the run was.
    """
    return render_page(
        "runs/templates/page.html",
        style=STYLE + asset("assets/page.css"),
        language="en",
        title=f"{title} - training",
        name=title,
        facts=_facts_line(facts),
        **_values(rows, diagnosis, name="", language="en"),
    )


def run_section(
    rows: Sequence[Row], diagnosis: Diagnosis, *, name: str = "", language: str = "en"
) -> Markup:
    """Return the inside of the page, for pages with more than one run: diagnosis, curves, values.

    Args:
        rows: of metrics.jsonl.
        diagnosis: made of the same rows.
        name: put before the ids of charts, to keep them apart; of letters, digits and dashes.
        language: of the words.
    """
    values = _values(rows, diagnosis, name=name, language=language)
    return render("runs/templates/run.html", **values)


def _values(
    rows: Sequence[Row], diagnosis: Diagnosis, *, name: str, language: str
) -> dict[str, Any]:
    view, words = read_rows(rows), texts(_TEXTS, language)
    figures = (_drawn(figure, view, name, words) for figure in _FIGURES)
    return {
        "words": words["page"],
        "headline": diagnosis.headline,
        "findings": diagnosis.findings,
        "has_held_out": bool(view.held_out),
        "figures": [each for each in figures if each[1]],
        "values": _first_and_last(view),
    }


def _facts_line(facts: RunFacts) -> str:
    parts = [
        f"loss {facts.loss}",
        f"beta {facts.beta:g}",
        f"learning rate {facts.learning_rate:g}",
        f"reference {facts.reference}",
    ]
    pairs = sum(facts.sources.values())
    if pairs:
        sources = ", ".join(sorted(facts.sources, key=lambda name: -facts.sources[name]))
        parts.append(f"{pairs} pairs ({sources})")
    return " · ".join(parts)


def _drawn(
    figure: _Figure, view: Trajectory, name: str, words: Mapping[str, Any]
) -> tuple[str, Markup, str]:
    """Return title, drawing and caption; the drawing is empty where nothing was logged."""
    curves = [
        Series(label, _points(view.train, metric), style)
        for style, (label, metric) in zip(figure.styles, figure.curves, strict=False)
        if figure.stacked or series(view.train, metric)
    ]
    if not figure.stacked:
        curves += [
            Series(label, _points(view.held_out, metric), style, marks=True)
            for style, (label, metric) in zip(figure.styles, figure.curves, strict=False)
        ]
    said = words["figures"][figure.name]
    chart = Chart(
        f"{name}{figure.name}",
        said["title"],
        _description(figure, view, words["page"]["course"]) or said["caption"],
        curves,
        words["page"]["step"],
        figure.baseline,
        smooth=True,
    )
    drawing = area_chart(chart) if figure.stacked else line_chart(chart)
    return said["title"], Markup(drawing), said["caption"]


def _points(rows: Sequence[Row], metric: str) -> list[Point]:
    return [(row.get("step", 0), row.get(metric)) for row in rows]


def _description(figure: _Figure, view: Trajectory, course: str) -> str:
    """Return the first and last value of each curve, for those who can't see it."""
    told = []
    for label, metric in figure.curves:
        points = series(view.train, metric)
        if points:
            (first, start), (last, end) = points[0], points[-1]
            places = {"first": f"{first:g}", "last": f"{last:g}"}
            told.append(course.format(label=label, start=number(start), end=number(end), **places))
    return f"{'; '.join(told)}." if told else ""


def _first_and_last(view: Trajectory) -> list[list[str]]:
    """Return a row a metric: the first and the last value, and the last held-out one."""
    metrics = dict.fromkeys(metric for figure in _FIGURES for _, metric in figure.curves)
    rows = []
    for metric in metrics:
        points, others = series(view.train, metric), series(view.held_out, metric)
        if points or others:
            cells = [number(points[0][1]), number(points[-1][1])] if points else ["", ""]
            rows.append([metric, *cells, number(others[-1][1]) if others else ""])
    return rows
