"""Make the page of an evaluation: its verdict, every signal, and a browser of the answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clairkit import __version__
from clairkit.charts import STYLE
from clairkit.display import excerpt
from clairkit.markup import asset, clean, render_page
from clairkit.records import Message, Pair
from clairkit.records.json_types import JsonMapping
from clairkit.report.entries import PairEntry, browser_data, drawn, make_entries
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
from clairkit.report.evaluated import Comparison, Evaluated, Row, text_of
from clairkit.report.gather import Run
from clairkit.report.language import Language, count_text
from clairkit.report.page import Page, metric_names, run_values, sorted_values

_MOST_BYTES = 8_000_000  # of the browser's data: the page stays below 10 MB
_VERDICTS = {"SHIP": "verdict_ship", "HOLD": "verdict_hold", "NEED MORE": "verdict_more"}
_EXCERPT = 240  # characters of a judge's reply
_PREFERENCES = {
    "first_much": "first_much",
    "first": "first_better",
    "tie": "verdict_tie",
    "second": "second_better",
    "second_much": "second_much",
}


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
    values["signal_name"] = signal_name(figures, words)
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


def answer_entries(evaluated: Evaluated, words: Language) -> list[PairEntry]:
    """Return an entry for each comparison, candidates in order, prompts as in the file."""
    found = [each for model in evaluated.candidates for each in evaluated.comparisons[model]]
    many = len(evaluated.candidates) > 1
    pairs = [_pair(each, evaluated, words, named=many) for each in found]
    entries = make_entries(pairs, {pair.id: evaluated.name for pair in pairs})
    rows = [list(_said(each, evaluated, words)) for each in found]
    texts = iter(clean([cell for each in rows for row in each for cell in row]))
    made = []
    for each, entry, said in zip(found, entries, rows, strict=True):
        votes = [[next(texts) for _ in row] for row in said]
        names = [each.model] if each.other is None else [evaluated.baseline, each.model]
        body = {**entry.body, "names": clean([str(name) for name in names]), "votes": votes}
        made.append(replace(entry, body=body))
    return made


def _pair(each: Comparison, evaluated: Evaluated, words: Language, *, named: bool) -> Pair:
    """Return a comparison in the form of a pair: the candidate's answer as the chosen side."""
    answer, other = text_of(each.answer), text_of(each.other)
    row = each.answer.get("row")
    columns = dict(row) if isinstance(row, Mapping) else {}
    if each.answer.get("cluster") is not None:
        columns.setdefault("cluster", each.answer["cluster"])
    if named:
        columns["model"] = each.model
    return Pair(
        prompt=_turns(each.answer.get("prompt")),
        chosen=({"role": "assistant", "content": answer},),
        rejected=({"role": "assistant", "content": answer if each.other is None else other},),
        source=_outcome(each, evaluated, words),
        scores={**_figures(each, words), "flags": _flags(each, words)},
        extra=columns,
        id=f"{each.prompt_id} · {each.model}" if named else each.prompt_id,
    )


def _turns(prompt: Any) -> tuple[Message, ...]:
    turns = prompt if isinstance(prompt, list) else [{"role": "user", "content": str(prompt)}]
    return tuple(
        {"role": str(turn.get("role", "user")), "content": str(turn.get("content", ""))}
        for turn in turns
        if isinstance(turn, Mapping)
    )


def _outcome(each: Comparison, evaluated: Evaluated, words: Language) -> str:
    basis = evaluated.bases[each.model]
    score = each.score(basis) if basis else None
    if score is None:
        return words.say("outcome_none")
    if score == 0.5:
        return words.say("outcome_tie")
    if score > 0.5:
        return words.say("outcome_won", model=each.model)
    return words.say("outcome_lost", other=str(evaluated.baseline))


def _figures(each: Comparison, words: Language) -> dict[str, float]:
    other = each.other or {}
    values = {
        "score": each.judged,
        "people_score": each.people,
        "length_difference": each.length_difference if each.other is not None else None,
        "check_candidate": each.answer.get("score"),
        "check_baseline": other.get("score"),
    }
    return {words.say(name): value for name, value in values.items() if is_number(value)}


def _flags(each: Comparison, words: Language) -> list[str]:
    scores = {row.get("score") for row in each.verdicts if row.get("score") is not None}
    answers = [each.answer, *([each.other] if each.other is not None else [])]
    judged, people = each.judged, each.people
    apart = judged is not None and people is not None and (judged - 0.5) * (people - 0.5) < 0
    found = {
        "flag_order": {0, 1} <= scores,
        "flag_unparsed": any(
            row.get("verdict") is None and row.get("asked") for row in each.verdicts
        ),
        "flag_people": apart,
        "flag_failed": any(row.get("failed") for row in answers),
        "flag_cut": any(row.get("finish_reason") == "length" for row in answers),
    }
    return [words.say(name) for name, is_there in found.items() if is_there]


def _said(each: Comparison, evaluated: Evaluated, words: Language) -> Iterator[list[str]]:
    """Yield who said what: kind, name, which answer stood first, the verdict, the reply's text."""
    for row in each.verdicts:
        given = row.get("given")
        yield [
            words.say("judge"),
            str(row.get("judge", "")),
            str(row.get("first") or ""),
            _verdict(row, words),
            excerpt(given, _EXCERPT) if isinstance(given, str) else "",
        ]
    for row in each.votes:
        yield [
            words.say("person"),
            str(row.get("rater", "")),
            "",
            _vote(row, each, evaluated, words),
            str(row.get("note") or ""),
        ]


def _verdict(row: Row, words: Language) -> str:
    if row.get("asked") is False:
        return words.say("not_asked")
    key = _PREFERENCES.get(str(row.get("verdict")))
    return words.say(key) if key else words.say("unparsed", reason=str(row.get("reason")))


def _vote(row: Row, each: Comparison, evaluated: Evaluated, words: Language) -> str:
    score = row.get("score")
    if row.get("label") == "both_bad":
        return words.say("both_bad")
    if not is_number(score):
        return str(row.get("label") or "")
    if score == 0.5:
        return words.say("verdict_tie")
    return words.say("prefers", model=each.model if score > 0.5 else str(evaluated.baseline))
