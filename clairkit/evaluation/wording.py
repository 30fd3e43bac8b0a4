"""Say an evaluation in one or two plain sentences, for someone who has to decide."""

from __future__ import annotations

from clairkit.evaluation.evaluate import Evaluation
from clairkit.intervals import Difference, Interval

_VERDICTS = {
    "better": "That is a gain beyond chance.",
    "worse": "That is a loss beyond chance.",
    "undecided": "That may be chance: these prompts allow a gain as well as a loss.",
}


def percent(share: float) -> str:
    """Return a share in [0, 1] as per cent."""
    return f"{100 * share:.1f} %"


def points(change: float, *, unit: bool = True) -> str:
    """Return a change of a share as signed percentage points."""
    return f"{100 * change:+.1f}" + (" points" if unit else "")


def score_sentence(
    evaluation: Evaluation, before: Evaluation | None, change: Interval | None
) -> str:
    """Say what the mean score is, and how it changed against the baseline."""
    interval = evaluation.score_interval()
    text = (
        f"The mean score is {evaluation.mean_score:.3f}, and between {interval.low:.3f} and "
        f"{interval.high:.3f} on prompts like these."
    )
    if before is None or change is None:
        return text
    moved = evaluation.mean_score - before.mean_score
    return f"{text} Against the baseline: {moved:+.3f} ({change.low:+.3f} to {change.high:+.3f})."


def sentence(evaluation: Evaluation, difference: Difference | None = None) -> str:
    """Say how often the model was right, and how that compares with the baseline."""
    interval = evaluation.interval
    text = (
        f"{evaluation.successes} of {evaluation.n} answers are right: "
        f"{percent(evaluation.share)}, and between {percent(interval.low)} and "
        f"{percent(interval.high)} on prompts like these."
    )
    if difference is None:
        return text
    if not (difference.gained or difference.lost):
        return (
            f"{text} Against the baseline, none became right and none became wrong: these prompts "
            f"do not tell the two models apart ({points(difference.low, unit=False)} to "
            f"{points(difference.high, unit=False)})."
        )
    return (
        f"{text} Against the baseline, {difference.gained} became right and {difference.lost} "
        f"became wrong: {points(difference.estimate)} ({points(difference.low, unit=False)} to "
        f"{points(difference.high, unit=False)}). {_VERDICTS[difference.verdict]}"
    )
