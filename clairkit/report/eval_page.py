"""Make the page of an evaluation: its verdict, every signal, and a browser of the answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from clairkit import __version__
from clairkit.charts import STYLE
from clairkit.markup import asset, render_page
from clairkit.records.json_types import JsonMapping
from clairkit.report.answers import answer_entries
from clairkit.report.browser import browser_data, drawn
from clairkit.report.eval_curves import curves
from clairkit.report.eval_signals import (
    forest_groups,
    guard_rows,
    is_number,
    rests_on,
    seed_groups,
    signal_name,
    unit_text,
)
from clairkit.report.evaluated import Evaluated
from clairkit.report.gather import Run
from clairkit.report.language import Language, count_text
from clairkit.report.overview import metric_names, run_values, sorted_values
from clairkit.report.page import Page

_MOST_BYTES = 8_000_000  # of the browser's data: the page stays below 10 MB
_VERDICTS = {"SHIP": "verdict_ship", "HOLD": "verdict_hold", "NEED MORE": "verdict_more"}


def make_evaluation_page(
    evaluated: Evaluated, runs: Sequence[Run], words: Language, *, max_items: int
) -> Page:
    """Return the page of an evaluation. The same input gives the same bytes.

    Args:
        evaluated: the folder of `evaluate`.
        runs: training runs to show below it.
        words: the language of the page.
        max_items: how many comparisons the browser gets, drawn by a hash of their ids; figures
            are of all.
    """
    words = words.of_answers()
    entries = answer_entries(evaluated, words)
    metrics = metric_names(sorted_values(entries))
    browsed = drawn(entries, max_items, _MOST_BYTES)
    total = len(entries)
    sampled = words.say("sampled_answers", shown=f"{len(browsed):,}", total=f"{total:,}")
    level = evaluated.facts.get("level")
    html = render_page(
        "report/templates/evaluation.html",
        style=STYLE + asset("assets/page.css") + asset("report/assets/report.css"),
        script=asset("report/assets/report.js"),
        data=browser_data(browsed, metrics, words, words.say("score")),
        language=words.code,
        title=words.say("eval_title"),
        say=words.say,
        made=words.say("eval_made", version=__version__, name=evaluated.name),
        level=f"{level:.0%}" if is_number(level) else "-",
        verdicts=_verdicts(evaluated, words),
        lines=_lines(evaluated, words),
        groups=forest_groups(evaluated, words),
        guards=guard_rows(evaluated, words),
        seeds=seed_groups(evaluated, words),
        details=rests_on(evaluated, words),
        curves=[
            curves(evaluated, model, words, f"m{at}-")
            for at, model in enumerate(evaluated.candidates)
        ],
        runs=[run_values(run, index, words) for index, run in enumerate(runs)],
        has_answers=bool(entries),
        sampled=sampled if len(browsed) < total else "",
    )
    return Page(html, total, len(browsed))


def _verdicts(evaluated: Evaluated, words: Language) -> list[tuple[str, str, str]]:
    """Return level, words and reason of each candidate's verdict."""
    found = evaluated.facts.get("verdicts")
    told: JsonMapping = found if isinstance(found, Mapping) else {}
    if not told and evaluated.facts.get("verdict") and evaluated.candidates:
        told = {evaluated.candidates[0]: evaluated.facts}
    made = []
    for model, each in told.items():
        key = _VERDICTS.get(str(each.get("verdict")))
        said = words.say(key, model=model) if key else f"{model}: {each.get('verdict')}"
        level = {"SHIP": "good", "HOLD": "problem"}.get(str(each.get("verdict")), "note")
        reason = [_because(each, words), _needed(each.get("needed"), words)]
        made.append((level, said, " ".join(filter(None, reason))))
    return made


def _because(verdict: JsonMapping, words: Language) -> str:
    """Return the reason in the page's language; the English sentence where it has no words."""
    found = verdict.get("because")
    figures: JsonMapping = found if isinstance(found, Mapping) else {}
    said = words.because.get(str(figures.get("code")))
    if said is None:
        return str(verdict.get("reason") or "")
    unit = str(figures.get("unit", "share"))
    shown = dict.fromkeys(("estimate", "low", "high", "lower", "margin"), unit)
    shown |= {"worst": "share", "best": "share"}
    values = {name: str(value) for name, value in figures.items()}
    values |= {name: unit_text(figures.get(name), unit) for name, unit in shown.items()}
    if is_number(margin := figures.get("margin")):
        values["margin"] = unit_text(-margin, unit)  # as the table of guards has it
    values["signal_name"] = signal_name(figures, words)
    values["unit"] = words.because.get(f"unit_{unit}", unit)
    return said.format_map(defaultdict(lambda: "-", values))


def _needed(needed: Any, words: Language) -> str:
    if not isinstance(needed, Mapping):
        return ""
    if not is_number(needed.get("more")):
        return words.say("needed_none")
    signal = words.signals.get(str(needed.get("signal")), str(needed.get("signal")))
    return words.say("needed_some", more=count_text(needed["more"]), signal=signal)


def _lines(evaluated: Evaluated, words: Language) -> list[str]:
    facts = evaluated.facts
    prompts, cost = facts.get("prompts"), facts.get("cost")
    lines = []
    if isinstance(prompts, Mapping) and is_number(prompts.get("n")):
        models = ", ".join(
            f"{each.get('name')} = {each.get('spec')}" for each in evaluated.rows("models")
        )
        lines.append(words.say("prompts_models", n=count_text(prompts["n"]), models=models))
    if isinstance(cost, Mapping) and is_number(cost.get("calls")):
        usd = cost.get("usd")
        tokens = [cost.get("prompt_tokens"), cost.get("completion_tokens")]
        lines.append(
            words.say(
                "spent",
                calls=count_text(cost["calls"]),
                tokens=count_text(sum(int(each) for each in tokens if is_number(each))),
                cost=words.say("usd", usd=f"{usd:.2f}")
                if is_number(usd)
                else words.say("no_price"),
            )
        )
    notes = facts.get("notes")
    lines += [words.phrase(str(note)) for note in notes] if isinstance(notes, list) else []
    lines += [
        words.phrase(str(warning))
        for judge in evaluated.rows("judges")
        for warning in judge.get("warnings") or ()
    ]
    return lines
