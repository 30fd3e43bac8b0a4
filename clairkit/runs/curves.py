"""The page of a run: its diagnosis and its curves in one HTML file, without scripts or loads."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clairkit.charts import STYLE, Chart, Point, Series, area_chart, line_chart
from clairkit.charts.draw import text
from clairkit.charts.scale import number
from clairkit.display import redact
from clairkit.runs.diagnosis import Diagnosis, RunFacts
from clairkit.runs.diagnosis.trajectory import Row, Trajectory, read_rows, series

_PAGE_STYLE = (
    STYLE + "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:1240px;padding:28px 24px 40px;background:var(--page);"
    "color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;"
    "overflow-wrap:anywhere}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 .2rem}"
    "h2{font-size:1.1rem;margin:2rem 0 .6rem}"
    ".facts{color:var(--soft);margin:0}"
    ".headline{font-size:1.12rem;font-weight:600;margin:1.3rem 0 .6rem}"
    ".findings{list-style:none;margin:0;padding:0;max-width:78ch}"
    ".findings li{border-left:4px solid var(--axis);padding:.1rem 0 .1rem .8rem;margin:.6rem 0}"
    ".findings .problem{border-color:var(--s1)}"
    ".findings .good{border-color:var(--s2)}"
    ".findings b{color:var(--soft);font-size:.78rem;letter-spacing:.04em;display:block;"
    "text-transform:uppercase}"
    ".charts{display:grid;gap:26px 28px;"
    "grid-template-columns:repeat(auto-fill,minmax(min(100%,350px),1fr))}"
    "figure{margin:0;break-inside:avoid}"
    "h3{margin:.5rem 0 .3rem;font-size:1rem}"
    "figcaption{color:var(--soft);font-size:.84rem;line-height:1.4;margin-top:.2rem}"
    ".scroll{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:.28rem 1.1rem .28rem 0;text-align:right;border-bottom:1px solid var(--rule)}"
    "th{font-weight:600}"
    "td,thead th{white-space:nowrap;overflow-wrap:normal}"
    "th:first-child{text-align:left}"
    "tbody th{font-weight:400}"
    "@media (max-width:480px){body{padding:18px 14px 28px}th,td{padding-right:.7rem}}"
    "@media print{body{max-width:none;padding:0;font-size:10.5pt}"
    ".charts{grid-template-columns:1fr 1fr}}"
)
_HELD_OUT = "Circles: held-out pairs."
_ACROSS = "Faint: each logged step; strong: running mean. Dotted across: no change, or chance."
_LEVELS = {"problem": "To act upon", "note": "To know", "good": "As it should be"}


@dataclass(frozen=True)
class _Figure:
    """A chart to be: curves as (label, metric), and what to say about it."""

    name: str
    title: str
    caption: str
    curves: Sequence[tuple[str, str]]
    styles: Sequence[int] = (0, 1, 2)
    baseline: float | None = None
    stacked: bool = False


_FIGURES = (
    _Figure("loss", "Loss", "The mean over pairs.", [("loss", "loss")]),
    _Figure(
        "rewards",
        "Rewards",
        "Beta times the log-ratio to the reference, in nats. Above 0: likelier than under the "
        "reference. Margin: chosen minus rejected.",
        [
            ("chosen", "rewards/chosen"),
            ("rejected", "rewards/rejected"),
            ("margin", "rewards/margins"),
        ],
        baseline=0.0,
    ),
    _Figure(
        "likelihood",
        "Log-likelihood",
        "Log-prob of a whole response, in nats; longer responses lie lower.",
        [("chosen", "logps/chosen"), ("rejected", "logps/rejected")],
    ),
    _Figure(
        "quadrants",
        "Where pairs went",
        "Shares of training pairs. As wanted: chosen likelier and rejected less likely than under "
        "the reference; inverted: the opposite.",
        [
            ("as wanted", "quadrants/chosen_up_rejected_down"),
            ("both up", "quadrants/chosen_up_rejected_up"),
            ("both down", "quadrants/chosen_down_rejected_down"),
            ("inverted", "quadrants/chosen_down_rejected_up"),
        ],
        styles=(2, 0, 1, 3),
        stacked=True,
    ),
    _Figure(
        "chosen-tokens",
        "Chosen side, by token",
        "Log-ratio to the reference in nats a token: inside edit spans, in what both sides share, "
        "and at the end of the turn.",
        [
            ("edited", "logratio/chosen_edited"),
            ("shared", "logratio/chosen_shared"),
            ("end", "logratio/chosen_end"),
        ],
        styles=(3, 4, 5),
        baseline=0.0,
    ),
    _Figure(
        "rejected-tokens",
        "Rejected side, by token",
        "The same for the rejected side.",
        [
            ("edited", "logratio/rejected_edited"),
            ("shared", "logratio/rejected_shared"),
            ("end", "logratio/rejected_end"),
        ],
        styles=(3, 4, 5),
        baseline=0.0,
    ),
    _Figure(
        "accuracy",
        "Accuracy and saturation",
        "Accuracy: share of pairs whose chosen side gained more. Saturated: share of sides beyond "
        "a reward of ±3.64, where APO has next to no gradient.",
        [
            ("accuracy", "rewards/accuracies"),
            ("sat. chosen", "saturation/chosen"),
            ("sat. rejected", "saturation/rejected"),
        ],
        styles=(2, 0, 1),
        baseline=0.5,
    ),
    _Figure(
        "kl",
        "Distance from the reference",
        "Nats a token on rejected answers. An estimate of KL(reference || policy) where these are "
        "the reference's own, as in CLAIR pairs.",
        [("distance", "kl/rejected")],
        baseline=0.0,
    ),
)


def training_page(rows: Sequence[Row], diagnosis: Diagnosis, title: str, facts: RunFacts) -> str:
    """Return the page as HTML that is well-formed XML, too.

    Args:
        rows: of metrics.jsonl.
        diagnosis: made of the same rows.
        title: the run's name; shown as text whatever it holds.
        facts: what the run was.
    """
    name = _shown(title)
    body = (
        f"<header><h1>{name}</h1><p class='facts'>{_facts_line(facts)}</p></header>"
        f"<main>{run_section(rows, diagnosis)}</main>"
    )
    digest = base64.b64encode(hashlib.sha256(_PAGE_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        "<!DOCTYPE html>\n"
        "<html lang='en'><head><meta charset='utf-8'/>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>'
        "<meta name='viewport' content='width=device-width, initial-scale=1'/>"
        f"<title>{name} - training</title><style>{_PAGE_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def run_section(
    rows: Sequence[Row],
    diagnosis: Diagnosis,
    *,
    name: str = "",
    phrase: Callable[[str], str] = str,
) -> str:
    """Return the inside of the page, for pages with more than one run: diagnosis, curves, values.

    Args:
        rows: of metrics.jsonl.
        diagnosis: made of the same rows.
        name: put before the ids of charts, to keep them apart; of letters, digits and dashes.
        phrase: what headings are passed through, to translate them.
    """
    view = read_rows(rows)
    return (
        f"<p class='headline'>{_shown(diagnosis.headline)}</p>{_findings(diagnosis, phrase)}"
        f"{_charts(view, name, phrase)}{_table(view, phrase)}"
    )


def _shown(content: str) -> str:
    return text(redact(content))


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
    return " · ".join(map(_shown, parts))


def _findings(diagnosis: Diagnosis, phrase: Callable[[str], str]) -> str:
    items = "".join(
        f"<li class='{item.level}'><b>{_shown(phrase(_LEVELS[item.level]))}</b>"
        f"{_shown(item.text)}</li>"
        for item in diagnosis.findings
    )
    return f"<ul class='findings'>{items}</ul>" if items else ""


def _charts(view: Trajectory, name: str, phrase: Callable[[str], str]) -> str:
    figures = "".join(_figure(figure, view, name, phrase) for figure in _FIGURES)
    title = f"<h2>{_shown(phrase('Curves'))}</h2>"
    if not figures:
        return f"{title}<p>No step was logged, so there is nothing to draw.</p>"
    legend = f"{phrase(_HELD_OUT)} " if view.held_out else ""
    note = f"<p class='facts'>{_shown(legend + phrase(_ACROSS))}</p>"
    return f"{title}{note}<div class='charts'>{figures}</div>"


def _figure(figure: _Figure, view: Trajectory, name: str, phrase: Callable[[str], str]) -> str:
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
    chart = Chart(
        f"{name}{figure.name}",
        phrase(figure.title),
        _description(figure, view),
        curves,
        phrase("training step"),
        figure.baseline,
        smooth=True,
    )
    drawn = area_chart(chart) if figure.stacked else line_chart(chart)
    if not drawn:
        return ""
    return (
        f"<figure><h3>{_shown(phrase(figure.title))}</h3>{drawn}"
        f"<figcaption>{_shown(phrase(figure.caption))}</figcaption></figure>"
    )


def _points(rows: Sequence[Row], metric: str) -> list[Point]:
    return [(row.get("step", 0), row.get(metric)) for row in rows]


def _description(figure: _Figure, view: Trajectory) -> str:
    """First and last value of each curve, for those who can't see it."""
    told = []
    for label, metric in figure.curves:
        points = series(view.train, metric)
        if points:
            (first, start), (last, end) = points[0], points[-1]
            told.append(
                f"{label} from {number(start)} at step {first:g} to {number(end)} at step {last:g}"
            )
    return f"{'; '.join(told)}." if told else figure.caption


def _table(view: Trajectory, phrase: Callable[[str], str]) -> str:
    """The first and the last values, and the last held-out ones."""
    metrics = dict.fromkeys(metric for figure in _FIGURES for _, metric in figure.curves)
    lines = []
    for metric in metrics:
        points, others = series(view.train, metric), series(view.held_out, metric)
        if points or others:
            cells: list[float | None] = [None, None, None]
            if points:
                cells[:2] = points[0][1], points[-1][1]
            if others:
                cells[2] = others[-1][1]
            shown = "".join(f"<td>{'' if v is None else number(v)}</td>" for v in cells)
            lines.append(f"<tr><th scope='row'>{text(metric)}</th>{shown}</tr>")
    if not lines:
        return ""
    heads = "".join(
        f"<th scope='col'>{_shown(phrase(head))}</th>"
        for head in ("metric", "first", "last", "held out")
    )
    return (
        f"<h2>{_shown(phrase('Values'))}</h2><div class='scroll'><table><thead><tr>"
        f"{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
