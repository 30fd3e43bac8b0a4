"""Find what else a run's metrics show: each rule says one thing, or nothing.

Thresholds are named, each with its reason. A level is that of the last quarter of the logged rows
where no other is named.
"""

from __future__ import annotations

import math
import statistics

from clairkit.runs.diagnosis.direction import is_still, side_nats
from clairkit.runs.diagnosis.facts import STILL_REWARD, Finding, RunFacts, finding, part
from clairkit.runs.diagnosis.trajectory import CLEAR, Trajectory, level, series

# The model orders hardly more pairs rightly than a coin does.
COIN = 0.55
# The loss rose by more than a fiftieth of what it was: less is not worth a word.
LOSS_RISE = 0.02
# Half of the sides, or pairs, have next to no gradient.
MOST = 0.5
# A tenth of what had been gained on held-out pairs is lost again.
LOST_AGAIN = 0.1
# Evaluations before a peak can be told from an end.
ENOUGH_EVALUATIONS = 3
# Held-out pairs gained less than a quarter of what the training pairs did.
FAR_BEHIND = 0.25
# A gradient ten times the usual one decides a step, clipped or not.
SPIKE = 10.0
# exp(d) - 1 - d = 0.1 at a log-ratio of 0.42: a typical token's probability changed 1.5-fold.
LARGE_KL = 0.1
# The end of the turn became 1.6 times as likely, or as unlikely.
END_NATS = 0.5
# Three quarters of the gradient come from one term.
DOMINANT = 3.0
# Losses whose gradient vanishes with a sigmoid, and what tells how far it has.
_SATURATION = {
    "apo_zero": ("saturation/chosen", "saturation/rejected"),
    "apo_zero_unpaired": ("saturation/chosen", "saturation/rejected"),
    "apo_down": ("saturation/chosen", "saturation/margin"),
    "sigmoid": ("saturation/margin",),
    "robust": ("saturation/margin",),
    "exo_pair": ("saturation/margin",),
}
# Sources whose rejected side is the model's own answer.
_OWN_ANSWERS = frozenset({"clair", "judge_on_policy"})


def undecided(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Find that the model tells the sides apart no better than a coin."""
    accuracy = view.end("rewards/accuracies")
    if accuracy is None or is_still(view) or accuracy.value > COIN:
        return None
    evidence = {"rewards/accuracies": accuracy.value}
    return finding("undecided", evidence, share=f"{accuracy.value:.0%}")


def loss_rose(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find that the loss ended above where it began."""
    start, end = view.start("loss"), view.end("loss")
    if start is None or end is None:
        return None
    rise = end.value - start.value
    noise = math.hypot(start.error, end.error)
    if rise <= CLEAR * noise or rise <= LOSS_RISE * abs(start.value):
        return None
    return finding(
        "loss_rose",
        {"start": start.value, "end": end.value, "noise": noise},
        start=f"{start.value:.4g}",
        end=f"{end.value:.4g}",
        noise=f"{noise:.2g}",
        rate=f"{facts.learning_rate:g}",
    )


def saturated(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find that most sides have next to no gradient left."""
    names = next((_SATURATION[name] for name in facts.terms if name in _SATURATION), ())
    levels = [found for name in names if (found := view.end(name)) is not None]
    if not levels or statistics.fmean(item.value for item in levels) <= MOST:
        return None
    share = statistics.fmean(item.value for item in levels)
    since = next(
        (
            int(row.get("step", 0))
            for row in view.train
            if (values := [value for name in names for _, value in series([row], name)])
            and statistics.fmean(values) > MOST
        ),
        0,
    )
    last = int(view.train[-1].get("step", 0))
    early = since <= last / 4
    rate = f"{facts.learning_rate:g}"
    return finding(
        "saturated",
        {"share": share, "since_step": since},
        "problem" if early else "note",
        share=f"{share:.0%}",
        what=part("pairs" if names == ("saturation/margin",) else "sides"),
        since=str(since),
        last=str(last),
        advice=part("early", rate=rate) if early else part("late"),
    )


def overfit(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Find that held-out pairs got worse while the training margin went on rising."""
    points = series(view.held_out, "rewards/margins")
    if len(points) < ENOUGH_EVALUATIONS:
        return None
    peak_step, peak = max(points, key=lambda point: point[1])
    last_step, last = points[-1]
    before = [row for row in view.train if row.get("step", 0) <= peak_step][-view.window :]
    then, now = level(before, "rewards/margins"), view.end("rewards/margins")
    if then is None or now is None or peak <= 0 or peak - last <= LOST_AGAIN * peak:
        return None
    if now.value - then.value <= CLEAR * math.hypot(then.error, now.error):
        return None
    return finding(
        "overfit",
        {"peak": peak, "peak_step": peak_step, "last": last, "train": now.value},
        peak=f"{peak:.3g}",
        peak_step=f"{peak_step:g}",
        last=f"{last:.3g}",
        last_step=f"{last_step:g}",
        train=f"{now.value:.3g}",
    )


def held_out_gap(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Find that training pairs are learnt, held-out ones are not."""
    train, held_out = view.end("rewards/margins"), view.last_held_out("rewards/margins")
    if train is None or held_out is None or not train.up or train.value < STILL_REWARD:
        return None
    if held_out >= FAR_BEHIND * train.value:
        return None
    return finding(
        "held_out_gap",
        {"train": train.value, "held_out": held_out},
        train=f"{train.value:.3g}",
        held_out=f"{held_out:.3g}",
    )


def unstable(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find a gradient far beyond those around it."""
    points = series(view.train, "grad_norm")
    spikes = [
        (value / usual, step, value)
        for index, (step, value) in enumerate(points)
        if (usual := _median_around(points, index)) > 0 and value > SPIKE * usual
    ]
    if not spikes:
        return None
    factor, step, value = max(spikes)
    return finding(
        "unstable",
        {"step": step, "norm": value, "factor": factor, "spikes": len(spikes)},
        "note",
        step=f"{step:g}",
        value=f"{value:.3g}",
        factor=f"{factor:.0f}",
        spikes=str(len(spikes)),
        rate=f"{facts.learning_rate:g}",
    )


def _median_around(points: list[tuple[float, float]], index: int) -> float:
    """Return the median of up to ten neighbours, since the usual size changes; 0 with too few."""
    around = [*points[max(0, index - 5) : index], *points[index + 1 : index + 6]]
    return statistics.median(value for _, value in around) if len(around) >= 4 else 0.0


def large_kl(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find that the policy went far from the reference."""
    held_out, train = view.last_held_out("kl/rejected"), view.end("kl/rejected")
    value = held_out if held_out is not None else None if train is None else train.value
    if value is None or value <= LARGE_KL:
        return None
    own = facts.share_of(_OWN_ANSWERS) > MOST and not facts.reference.startswith("model:")
    return finding(
        "large_kl",
        {"kl/rejected": value},
        "note",
        where=part("where_training" if held_out is None else "where_held_out"),
        value=f"{value:.2g}",
        what=part("is_kl" if own else "is_distance"),
        beta=f"{facts.beta:g}",
        rate=f"{facts.learning_rate:g}",
    )


def length_drift(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Find that answers will get longer, or shorter, by the end of the turn's probability."""
    held_out, train = view.last_held_out("logratio/chosen_end"), view.end("logratio/chosen_end")
    if train is None or not train.clear:
        return None
    value = train.value if held_out is None else held_out
    if abs(value) <= END_NATS:
        return None
    return finding(
        "length_drift",
        {"logratio/chosen_end": value},
        "note",
        "longer_answers" if value < 0 else "shorter_answers",
        factor=f"{math.exp(abs(value)):.1f}",
        value=f"{value:+.2g}",
    )


def shared_margin(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find that the margin comes from what both sides share rather than from the edits."""
    nats = [side_nats(view, side) for side in ("chosen", "rejected")]
    (chosen_edited, chosen_shared), (rejected_edited, rejected_shared) = nats
    if None in nats[0] or None in nats[1] or is_still(view):
        return None
    edited = (chosen_edited or 0.0) - (rejected_edited or 0.0)
    shared = (chosen_shared or 0.0) - (rejected_shared or 0.0)
    if shared <= 0 or shared <= max(edited, 0.0) or facts.loss_mask == "edits":
        return None
    return finding(
        "shared_margin",
        {"shared_nats": shared, "edited_nats": edited},
        "note",
        shared=f"{shared:+.3g}",
        edited=f"{edited:+.3g}",
    )


def sft_dominates(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find that the sft term outweighs the preference term in the chosen side's gradient."""
    weight = facts.terms.get("sft")
    length = view.end("lengths/chosen")
    other = _slope(view, facts)
    if weight is None or other is None or length is None or length.value <= 0:
        return None
    factor = weight / length.value / other if other > 0 else math.inf
    if factor <= DOMINANT:
        return None
    evidence = {"factor": factor}
    told = {"factor": f"{factor:.3g}", "weight": f"{weight:g}"}
    return finding("sft_dominates", evidence, "note", **told)


def _slope(view: Trajectory, facts: RunFacts) -> float | None:
    """Return what a nat of the chosen side changes of the preference term, at the mean reward."""
    chosen, margin = view.end("rewards/chosen"), view.end("rewards/margins")
    if "apo_zero" in facts.terms and chosen is not None:
        share = 1 / (1 + math.exp(min(abs(chosen.value), 700.0)))
        return facts.terms["apo_zero"] * facts.beta * share * (1 - share)
    if "sigmoid" in facts.terms and margin is not None:
        return facts.terms["sigmoid"] * facts.beta / (1 + math.exp(min(margin.value, 700.0)))
    return None
