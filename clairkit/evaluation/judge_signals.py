"""Turn the verdicts of judges into signals: win rates, at equal length, and Elo."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clairkit.evaluation.comparison import (
    Comparison,
    JudgedOrder,
    RowResult,
    answer_text,
)
from clairkit.evaluation.signals import Signal, signal_of
from clairkit.statistics.bradley_terry import Comparison as Verdicts
from clairkit.statistics.bradley_terry import bradley_terry
from clairkit.statistics.estimates import Estimate, Note, Resampling
from clairkit.statistics.length_control import length_controlled_win_rate
from clairkit.statistics.win_rate import (
    Verdict,
    labels_of,
    mean_share,
    position_bias,
    prompt_scores,
    win_rate,
)

ALL_JUDGES = "all judges"
_NO_SPREAD = 1e-6  # Elo
_UNREAD = "no verdict could be read"

Clusters = Mapping[Any, Hashable] | None


def judge_signals(
    results: Sequence[RowResult],
    comparison: Comparison,
    clusters: Clusters,
    resampling: Resampling,
    relatives: Mapping[str, Sequence[str]] | None = None,
) -> list[Signal]:
    """Return the signals of the judges' verdicts.

    Args:
        results: of all prompts.
        comparison: who met whom.
        clusters: what each prompt belongs to, by its id; None when prompts are independent.
        resampling: level, draws and seed.
        relatives: by a judge's name, the models that are of its family.
    """
    signals: list[Signal] = []
    names = [each.name for each in comparison.judges]
    for model, against in comparison.meetings:
        placed = [
            (result.row.id, each)
            for result in results
            for each in result.verdicts
            if (each.model, each.against) == (model, against)
        ]
        for name in names:
            own = [each for each in placed if each[1].judge == name]
            preference = None
            others = [each for each in placed if each[1].judge not in (relatives or {})]
            if others and model in (relatives or {}).get(name, ()):
                preference = _self_preference(own, others, clusters, resampling)
            signals.append(_win_rate(name, own, clusters, resampling, preference))
        if len(names) > 1:
            signals.append(_win_rate(ALL_JUDGES, placed, clusters, resampling, None))
        signals += _at_equal_length(
            names[0] if len(names) == 1 else ALL_JUDGES, placed, results, clusters, resampling
        )
    if len(comparison.contestants) > 2:
        signals += _elo(results, comparison, clusters, resampling.level)
    return signals


_Placed = Sequence[tuple[str, JudgedOrder]]


def _verdicts(placed: _Placed) -> list[Verdict]:
    return [
        Verdict(prompt, each.judge, each.first == each.model, each.score) for prompt, each in placed
    ]


def _win_rate(
    name: str,
    placed: _Placed,
    clusters: Clusters,
    resampling: Resampling,
    preference: dict[str, float | None] | None,
) -> Signal:
    verdicts = _verdicts(placed)
    asked = [each for each in placed if each[1].recorded is not None]
    found = win_rate(verdicts, clusters, resampling)
    positions = found.positions
    if len(asked) < len(placed):  # ties that nobody was asked about say nothing of the order
        positions = position_bias(_verdicts(asked), clusters, resampling)
    order = placed[0][1]
    much = [each for _, each in placed if each.is_much]
    read = max(1, len(verdicts) - found.unparsed)
    consistency = positions.consistency
    details = {
        "verdicts": len(asked),
        "unparsed": found.unparsed,
        "worst": found.worst,
        "best": found.best,
        "pairs": positions.pairs,
        "consistency": consistency and consistency.estimate,
        "consistency_low": consistency and consistency.low,
        "consistency_high": consistency and consistency.high,
        "first_wins": positions.first_wins,
        "much_better": sum(each.score == 1 for each in much) / read,
        "much_worse": sum(each.score == 0 for each in much) / read,
        "not_asked": len({prompt for prompt, each in placed if each.recorded is None}),
        **({"self_preference": preference} if preference else {}),
    }
    estimate = found.estimate or _nothing(len({prompt for prompt, _ in placed}), resampling.level)
    return signal_of(
        "judge",
        estimate,
        model=order.model,
        against=order.against,
        name=name,
        notes=(_UNREAD,) if found.estimate is None else (),
        details=details,
    )


def _nothing(n: int, level: float) -> Estimate:
    return Estimate(math.nan, None, math.nan, n, n, level, "", (Note.TOO_FEW,))


def _at_equal_length(
    name: str,
    placed: _Placed,
    results: Sequence[RowResult],
    clusters: Clusters,
    resampling: Resampling,
) -> Iterator[Signal]:
    order = placed[0][1]
    scores = prompt_scores(_verdicts(placed))
    if not scores:
        return
    lengths = {
        result.row.id: _length(result, order.model) - _length(result, order.against)
        for result in results
    }
    differences = [float(lengths[str(prompt)]) for prompt in scores]
    labels = None if clusters is None else labels_of(scores, clusters)
    found = length_controlled_win_rate(list(scores.values()), differences, labels, resampling)
    yield signal_of(
        "length-controlled judge",
        found.estimate,
        model=order.model,
        against=order.against,
        name=name,
        details={
            "length_effect": found.length_effect.estimate,
            "length_effect_low": found.length_effect.low,
            "length_effect_high": found.length_effect.high,
            "mean_length_difference": sum(differences) / len(differences),
        },
    )


def _length(result: RowResult, name: str) -> int:
    return len(answer_text(result.answers[name]) or "")


def _self_preference(
    own: _Placed, others: _Placed, clusters: Clusters, resampling: Resampling
) -> dict[str, float | None]:
    """Return how much more often a related judge prefers the candidate than the others do."""
    mine, theirs = prompt_scores(_verdicts(own)), prompt_scores(_verdicts(others))
    both = [prompt for prompt in mine if prompt in theirs]
    if not both:
        return {"estimate": None, "low": None, "high": None}
    labels = None if clusters is None else labels_of(both, clusters)
    halves = [(1 + mine[prompt] - theirs[prompt]) / 2 for prompt in both]
    found = mean_share(halves, labels, resampling)
    ends = {"estimate": found.estimate, "low": found.low, "high": found.high}
    return {name: None if end is None else 2 * end - 1 for name, end in ends.items()}


def _elo(
    results: Sequence[RowResult], comparison: Comparison, clusters: Clusters, level: float
) -> Iterator[Signal]:
    verdicts = [
        Verdicts(result.row.id, each.model, each.against, each.score)
        for result in results
        for each in result.verdicts
        if each.score is not None
    ]
    base = comparison.baseline
    if base is None or not verdicts:
        return
    for rating in bradley_terry(verdicts, base, clusters, level):
        if rating.model != base:
            found = replace(rating.elo, n=len(results))
            if found.standard_error < _NO_SPREAD:  # each prompt's verdicts cancel each other out
                found = replace(found, interval=None, notes=(Note.TOO_FEW, Note.ALL_EQUAL))
            details = {"comparisons": rating.comparisons}
            yield signal_of(
                "elo", found, model=rating.model, against=base, unit="elo", details=details
            )
