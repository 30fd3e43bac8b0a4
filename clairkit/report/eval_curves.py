"""Lay out what the answers of an evaluation show: length, groups, calibration, evidence."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from clairkit.charts import Chart, Series, line_chart
from clairkit.charts.forest import forest_axis, forest_row, forest_scale
from clairkit.intervals import wilson
from clairkit.markup import Markup
from clairkit.records.json_types import JsonObject
from clairkit.report.eval_signals import forest_line, is_number
from clairkit.report.evaluated import Basis, Comparison, Evaluated
from clairkit.report.language import Language, count_text, percent_text

_BINS = 8  # groups of prompts by length difference, at most
_FEWEST = 5  # prompts in a group of them
_MOST_SLICES = 15
_CURVE = 60  # points of a drawn function
_ALPHA = 0.05

Scored = tuple[Comparison, float]


def curves(evaluated: Evaluated, model: str, words: Language, name: str) -> JsonObject:
    """Return the sections about one candidate that its answers allow.

    Args:
        evaluated: the evaluation.
        model: the candidate.
        words: of the page.
        name: put before the ids of charts, to keep them apart.
    """
    basis = evaluated.bases[model]
    found = evaluated.comparisons[model]
    values = {"pair": words.say("against", model=model, other=evaluated.baseline or "")}
    scored = [(each, score) for each in found if basis and (score := each.score(basis)) is not None]
    if basis is None:
        return {}
    said = words.say(f"basis_{basis}")
    return values | {
        "basis": said,
        "length": _length(evaluated, scored, basis, words, f"{name}length"),
        "slices": _slices(scored, words),
        "calibration": _calibration(found, words, f"{name}calibration"),
        "evidence": _evidence(found, words, f"{name}evidence"),
    }


def _length(
    evaluated: Evaluated, scored: Sequence[Scored], basis: Basis, words: Language, name: str
) -> Markup:
    """Return the chart of wins by length difference; empty where lengths don't differ."""
    ordered = sorted(scored, key=lambda each: each[0].length_difference)
    lengths = [each.length_difference for each, _ in ordered]
    if len(ordered) < 2 * _FEWEST or lengths[0] == lengths[-1]:
        return Markup("")
    points, bars = _binned(
        (sum(each.length_difference for each, _ in group) / len(group), [s for _, s in group])
        for group in _even(ordered, min(_BINS, len(ordered) // _FEWEST))
    )
    curve = _length_curve(evaluated, ordered, basis, (points[0][0], points[-1][0]))
    series = [Series(words.say("basis_" + basis), points, 0, marks=True, bars=bars)]
    if curve:
        series.insert(0, Series(words.say("length_model"), curve, 1))
    title = words.say("length_axis")
    chart = Chart(name, title, _told(points), series, title, 0.5)
    return Markup(line_chart(chart))


def _length_curve(
    evaluated: Evaluated, scored: Sequence[Scored], basis: Basis, ends: tuple[float, float]
) -> list[tuple[float, float | None]]:
    """Return the fitted model: logit P(win) = theta + phi tanh(d / sd), as `evaluate` gives it."""
    model = scored[0][0].model
    signal = next(
        (
            each
            for each in evaluated.signals()
            if each.get("signal") == "length-controlled judge" and each.get("model") == model
        ),
        None,
    )
    share = signal.get("estimate") if signal else None
    effect = (signal.get("details") or {}).get("length_effect") if signal else None
    lengths = [each.length_difference for each, _ in scored]
    mean = sum(lengths) / len(lengths)
    scale = math.sqrt(sum((each - mean) ** 2 for each in lengths) / len(lengths))
    if basis != "judge" or not (is_number(share) and is_number(effect) and 0 < share < 1):
        return []
    theta = math.log(share / (1 - share))
    places = [ends[0] + (ends[1] - ends[0]) * at / _CURVE for at in range(_CURVE + 1)]
    return [(x, 1 / (1 + math.exp(-theta - effect * math.tanh(x / scale)))) for x in places]


def _slices(scored: Sequence[Scored], words: Language) -> JsonObject | None:
    """Return a forest of win shares by cluster and by length of the prompt."""
    groups = [(words.say("all_prompts"), [score for _, score in scored])]
    groups += _by_cluster(scored, words) + _by_prompt_length(scored, words)
    if len(groups) < 2:
        return None
    shares = [(name, len(scores), *_share(scores)) for name, scores in groups]
    across = forest_scale([100 * end for *_, ends in shares for end in ends], 50.0)
    rows = [
        forest_line(
            name,
            forest_row(across, 100 * share, (100 * ends[0], 100 * ends[1]), 50.0),
            percent_text(share),
            f"{percent_text(ends[0])} \N{EN DASH} {percent_text(ends[1])}",
            f"n = {count_text(n)}",
        )
        for name, n, share, ends in shares
    ]
    return {"rows": rows, "axis": Markup(forest_axis(across, " %"))}


def _by_cluster(scored: Sequence[Scored], words: Language) -> list[tuple[str, list[float]]]:
    found: dict[str, list[float]] = defaultdict(list)
    for each, score in scored:
        if each.answer.get("cluster") is not None:
            found[str(each.answer["cluster"])].append(score)
    if len(found) < 2 or len(found) > len(scored) / 2:
        return []
    order = sorted(found, key=lambda name: (-len(found[name]), name))
    groups = [(name, found[name]) for name in order[:_MOST_SLICES]]
    rest = order[_MOST_SLICES:]
    if rest:
        scores = [score for name in rest for score in found[name]]
        groups.append((words.say("other_clusters", n=count_text(len(rest))), scores))
    return groups


def _by_prompt_length(scored: Sequence[Scored], words: Language) -> list[tuple[str, list[float]]]:
    sized = sorted(((_prompt_length(each), score) for each, score in scored), key=lambda s: s[0])
    lengths = [length for length, _ in sized]
    cuts = sorted({lengths[len(lengths) * at // 4] for at in (1, 2, 3)})
    groups: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for length, score in sized:  # equal lengths stay together
        groups[bisect_left(cuts, length + 1)].append((length, score))
    if len(sized) < 4 * _FEWEST or len(groups) < 2:
        return []
    named = []
    for group in groups.values():
        low, high = count_text(group[0][0]), count_text(group[-1][0])
        name = words.say("by_prompt_length", low=low, high=high)
        named.append((name, [score for _, score in group]))
    return named


def _prompt_length(each: Comparison) -> int:
    prompt = each.answer.get("prompt")
    turns = prompt if isinstance(prompt, list) else []
    return sum(len(str(turn.get("content", ""))) for turn in turns if isinstance(turn, Mapping))


def _calibration(found: Sequence[Comparison], words: Language, name: str) -> JsonObject | None:
    """Return the judges' verdicts against people's, where both are there."""
    both = [
        (j, p)
        for each in found
        if (j := each.judged) is not None and (p := each.people) is not None
    ]
    if len(both) < _FEWEST:
        return None
    groups: dict[float, list[float]] = defaultdict(list)
    for judged, people in both:
        groups[round(4 * judged) / 4].append(people)
    points, bars = _binned(sorted(groups.items()))
    series = [
        Series(words.say("equal_line"), [(0.0, 0.0), (1.0, 1.0)], 4),
        Series(words.say("basis_people"), points, 0, marks=True, bars=bars),
    ]
    title = words.say("judge_axis")
    chart = Chart(name, title, _told(points), series, title, counts=False)
    decided = [(j > 0.5) == (p > 0.5) for j, p in both if 0.5 not in (j, p)]
    said = ""
    if decided:
        share, ends = _share([float(each) for each in decided])
        low, high = map(percent_text, ends)
        said = words.say(
            "calibration_agree", share=percent_text(share), n=len(decided), low=low, high=high
        )
    note = words.say("calibration_note", n=count_text(len(both)))
    return {"chart": Markup(line_chart(chart)), "note": note, "agree": said}


def _evidence(found: Sequence[Comparison], words: Language, name: str) -> JsonObject | None:
    """Return the e-value after each deciding vote, in the order in which votes came in."""
    from clairkit.statistics.e_process import evidence, first_votes, log_e_value

    votes = [
        (str(row.get("at") or ""), each.prompt_id, float(row["score"]))
        for each in found
        for row in each.votes
        if is_number(row.get("score"))
    ]
    cast = [(prompt, score) for _, prompt, score in sorted(votes, key=lambda vote: vote[0])]
    if not cast:
        return None
    first: dict[str, float] = {}
    for prompt, score in cast:
        if score != 0.5:
            first.setdefault(prompt, score)
    wins = losses = 0
    points: list[tuple[float, float | None]] = [(0.0, 0.0)]
    for at, score in enumerate(first.values(), 1):
        wins, losses = wins + (score > 0.5), losses + (score < 0.5)
        points.append((float(at), log_e_value(wins, losses) / math.log(10)))
    ties = first_votes((prompt, score) for prompt, score in cast if prompt not in first)[2]
    now = evidence(wins, losses, ties, _ALPHA)
    state = (
        words.say("evidence_enough")
        if now.is_enough
        else words.say("evidence_open")
        if now.more is None
        else words.say("evidence_more", n=count_text(now.more))
    )
    line = [Series(words.say("evidence_line"), points)]
    title = words.say("votes_axis")
    limit = -math.log10(_ALPHA)
    chart = Chart(name, title, _told(points[-1:]), line, title, limit)
    said = {"wins": wins, "losses": losses, "ties": ties, "state": state}
    return {
        "chart": Markup(line_chart(chart)) if first else Markup(""),
        "note": words.say("evidence_note", limit=f"{limit:.2f}", alpha=f"{_ALPHA:.0%}"),
        "now": words.say("evidence_now", **said),
    }


def _binned(
    groups: Iterable[tuple[float, Sequence[float]]],
) -> tuple[list[tuple[float, float]], list[tuple[float, float, float]]]:
    """Return, for scores at each x, their mean as a point and its interval as a bar."""
    shares = [(x, *_share(scores)) for x, scores in groups]
    return [(x, share) for x, share, _ in shares], [(x, *ends) for x, _, ends in shares]


def _share(scores: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Return the mean of scores in [0, 1] with Wilson's interval, ties counted as halves."""
    total = sum(scores)
    interval = wilson(total, len(scores))
    return total / len(scores), (interval.low, interval.high)


def _even(items: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """Return items in order in `count` groups of sizes that differ by one at most."""
    cuts = [len(items) * at // count for at in range(count + 1)]
    return [items[start:end] for start, end in pairwise(cuts) if end > start]


def _told(points: Sequence[tuple[float, float | None]]) -> str:
    return "; ".join(f"{x:.4g}: {y:.3g}" for x, y in points if y is not None)
