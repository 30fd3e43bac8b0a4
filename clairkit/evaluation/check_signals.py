"""Turn checked answers into signals: the share of right ones, and how it changed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

from clairkit.evaluation.evaluate import Evaluation
from clairkit.evaluation.signals import Signal, signal_of
from clairkit.intervals import wilson
from clairkit.statistics.change import mean_change, paired_binary_change
from clairkit.statistics.estimates import Estimate, Resampling
from clairkit.statistics.win_rate import mean_share

MEAN_SCORE = "mean score"
_WILSON = "Wilson's score interval"
_NEWCOMBE = "Newcombe's paired interval"
_CLUSTERED = ", effective number of prompts"
_SANDWICH = "clustered sandwich, Student's t"


def check_signals(
    found: Mapping[str, Evaluation],
    baseline: str | None,
    labels: Sequence[Hashable] | None,
    resampling: Resampling,
) -> list[Signal]:
    """Return for each model its share of right answers, and the change against the baseline.

    Args:
        found: by the models' names, of the same prompts.
        baseline: its name; None where there is none.
        labels: [n] cluster of each prompt; None when prompts are independent.
        resampling: level, draws and seed.
    """
    signals = [_share(name, each, labels, resampling) for name, each in found.items()]
    if baseline is not None:
        for name in found:
            if name != baseline:
                signals += _changes(name, baseline, found, labels, resampling.level)
    return signals


def _share(
    name: str, found: Evaluation, labels: Sequence[Hashable] | None, resampling: Resampling
) -> Signal:
    right = [float(row.right) for row in found.rows]
    estimate = mean_share(right, labels, resampling)
    if labels is None:
        interval = wilson(found.successes, found.n, resampling.level)
        estimate = replace(estimate, interval=interval, method=_WILSON, notes=())
    details = {"successes": found.successes}
    return signal_of("check", estimate, model=name, against=None, details=details)


def _changes(
    name: str,
    baseline: str,
    found: Mapping[str, Evaluation],
    labels: Sequence[Hashable] | None,
    level: float,
) -> Iterator[Signal]:
    old, new = found[baseline], found[name]
    before, after = [row.right for row in old.rows], [row.right for row in new.rows]
    change = paired_binary_change(before, after, labels)
    turned = list(zip(before, after, strict=True))
    yield signal_of(
        "check",
        change.to_estimate(level, _NEWCOMBE + (_CLUSTERED if labels is not None else "")),
        model=name,
        against=baseline,
        unit="points",
        details={"gained": turned.count((False, True)), "lost": turned.count((True, False))},
    )
    if old.has_scores or new.has_scores:
        estimate = _score_change(old, new, labels, level)
        yield signal_of(
            "check", estimate, model=name, against=baseline, unit="score", name=MEAN_SCORE
        )


def _score_change(
    old: Evaluation, new: Evaluation, labels: Sequence[Hashable] | None, level: float
) -> Estimate:
    groups = range(new.n) if labels is None else labels
    change = mean_change(
        [row.score for row in (*old.rows, *new.rows)],
        [False] * old.n + [True] * new.n,
        [*groups, *groups],
    )
    return replace(change.to_estimate(level, _SANDWICH), n=new.n)
