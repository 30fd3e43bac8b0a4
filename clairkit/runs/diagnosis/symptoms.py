"""What else a run's metrics show: each rule says one thing, or nothing.

Thresholds are named, each with its reason. A level is that of the last quarter of the logged rows
where no other is named.
"""

from __future__ import annotations

import math
import statistics

from clairkit.runs.diagnosis.direction import is_still, side_nats
from clairkit.runs.diagnosis.facts import (
    Finding,
    RunFacts,
)
from clairkit.runs.diagnosis.movement import STILL_REWARD
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
    accuracy = view.end("rewards/accuracies")
    if accuracy is None or is_still(view) or accuracy.value > COIN:
        return None
    return Finding(
        "undecided",
        "the model does not tell the sides apart",
        f"The model moved, but the chosen side gained more in only {accuracy.value:.0%} of the "
        "pairs, about as a coin would have it. Check that the chosen sides are really better, and "
        "by the same measure throughout.",
        {"rewards/accuracies": accuracy.value},
    )


def loss_rose(view: Trajectory, facts: RunFacts) -> Finding | None:
    """The loss ended above where it began."""
    start, end = view.start("loss"), view.end("loss")
    if start is None or end is None:
        return None
    rise = end.value - start.value
    noise = math.hypot(start.error, end.error)
    if rise <= CLEAR * noise or rise <= LOSS_RISE * abs(start.value):
        return None
    return Finding(
        "loss_rose",
        "the loss went up",
        f"The loss went up, from {start.value:.4g} to {end.value:.4g} (noise {noise:.2g}). The "
        f"learning rate of {facts.learning_rate:g} is too high for these pairs.",
        {"start": start.value, "end": end.value, "noise": noise},
    )


def saturated(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Most sides have next to no gradient left."""
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
    advice = (
        f"That was early: lower the learning rate (now {facts.learning_rate:g})."
        if early
        else "Fewer steps would have done; where more is to be learnt, look at the data."
    )
    return Finding(
        "saturated",
        "the loss is saturated",
        f"{share:.0%} of the {'pairs' if names == ('saturation/margin',) else 'sides'} hardly have "
        f"a gradient any more, more than half since step {since} of {last}. {advice}",
        {"share": share, "since_step": since},
        "problem" if early else "note",
    )


def overfit(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Held-out pairs got worse while the training margin went on rising."""
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
    return Finding(
        "overfit",
        "held-out pairs get worse",
        f"The margin on held-out pairs fell from {peak:.3g} at step {peak_step:g} to {last:.3g} at "
        f"step {last_step:g}, while that on training pairs went on to {now.value:.3g}. Stop about "
        f"step {peak_step:g}, or train on more pairs.",
        {"peak": peak, "peak_step": peak_step, "last": last, "train": now.value},
    )


def held_out_gap(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Training pairs are learnt, held-out ones are not."""
    train, held_out = view.end("rewards/margins"), view.last_held_out("rewards/margins")
    if train is None or held_out is None or not train.up or train.value < STILL_REWARD:
        return None
    if held_out >= FAR_BEHIND * train.value:
        return None
    return Finding(
        "held_out_gap",
        "held-out pairs hardly gain",
        f"The margin is {train.value:.3g} on training pairs and {held_out:.3g} on held-out ones: "
        "what is learnt is mostly these pairs. More pairs, or fewer epochs.",
        {"train": train.value, "held_out": held_out},
    )


def unstable(view: Trajectory, facts: RunFacts) -> Finding | None:
    """A gradient far beyond those around it."""
    points = series(view.train, "grad_norm")
    spikes = [
        (value / usual, step, value)
        for index, (step, value) in enumerate(points)
        if (usual := _median_around(points, index)) > 0 and value > SPIKE * usual
    ]
    if not spikes:
        return None
    factor, step, value = max(spikes)
    return Finding(
        "unstable",
        "the gradient spiked",
        f"At step {step:g} the gradient's norm was {value:.3g}, {factor:.0f} times that of the "
        f"steps around it (in all: {len(spikes)} such spikes). Look at the pairs there; a longer "
        f"warm-up or a learning rate below {facts.learning_rate:g} helps.",
        {"step": step, "norm": value, "factor": factor, "spikes": len(spikes)},
        "note",
    )


def _median_around(points: list[tuple[float, float]], index: int) -> float:
    """Of up to ten neighbours: the usual size changes over a run. 0 when there are too few."""
    around = [*points[max(0, index - 5) : index], *points[index + 1 : index + 6]]
    return statistics.median(value for _, value in around) if len(around) >= 4 else 0.0


def large_kl(view: Trajectory, facts: RunFacts) -> Finding | None:
    """The policy went far from the reference."""
    held_out, train = view.last_held_out("kl/rejected"), view.end("kl/rejected")
    value = held_out if held_out is not None else None if train is None else train.value
    if value is None or value <= LARGE_KL:
        return None
    where = "held-out" if held_out is not None else "training"
    own = facts.share_of(_OWN_ANSWERS) > MOST and not facts.reference.startswith("model:")
    what = (
        "an estimate of KL(reference || policy) on the model's own answers"
        if own
        else "a distance, no KL, since these answers are not known to be the reference's"
    )
    return Finding(
        "large_kl",
        "the model is far from the reference",
        f"On rejected answers of {where} pairs the model is {value:.2g} nats a token away from the "
        f"reference ({what}). Check what it could do before. A higher beta (now {facts.beta:g}) or "
        f"a learning rate below {facts.learning_rate:g} keeps it nearer.",
        {"kl/rejected": value},
        "note",
    )


def length_drift(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Answers will get longer, or shorter: the end of the turn changed its probability."""
    held_out, train = view.last_held_out("logratio/chosen_end"), view.end("logratio/chosen_end")
    if train is None or not train.clear:
        return None
    value = train.value if held_out is None else held_out
    if abs(value) <= END_NATS:
        return None
    word, effect = ("less", "longer") if value < 0 else ("more", "shorter")
    return Finding(
        "length_drift",
        f"answers may get {effect}",
        f"After a chosen answer the end of the turn became {math.exp(abs(value)):.1f} times {word} "
        f"likely ({value:+.2g} nats): answers may get {effect}. Compare lengths with evaluate.",
        {"logratio/chosen_end": value},
        "note",
    )


def shared_margin(view: Trajectory, facts: RunFacts) -> Finding | None:
    """The margin comes from what both sides share rather than from the edits."""
    nats = [side_nats(view, side) for side in ("chosen", "rejected")]
    (chosen_edited, chosen_shared), (rejected_edited, rejected_shared) = nats
    if None in nats[0] or None in nats[1] or is_still(view):
        return None
    edited = (chosen_edited or 0.0) - (rejected_edited or 0.0)
    shared = (chosen_shared or 0.0) - (rejected_shared or 0.0)
    if shared <= 0 or shared <= max(edited, 0.0) or facts.loss_mask == "edits":
        return None
    return Finding(
        "shared_margin",
        "the margin comes from shared tokens",
        f"Of the margin, {shared:+.3g} nats a pair come from tokens that both sides share and "
        f"{edited:+.3g} from the edits: the model tells the sides apart by what follows an edit. "
        "--loss-mask edits trains on the edits alone.",
        {"shared_nats": shared, "edited_nats": edited},
        "note",
    )


def sft_dominates(view: Trajectory, facts: RunFacts) -> Finding | None:
    """The sft term of a sum outweighs the preference term in the chosen side's gradient."""
    weight = facts.terms.get("sft")
    length = view.end("lengths/chosen")
    other = _slope(view, facts)
    if weight is None or other is None or length is None or length.value <= 0:
        return None
    factor = weight / length.value / other if other > 0 else math.inf
    if factor <= DOMINANT:
        return None
    return Finding(
        "sft_dominates",
        "the sft term dominates",
        f"At the mean reward, sft pulls the chosen side up {factor:.3g} times as strongly as the "
        "preference loss does: the run is mostly supervised fine-tuning. Lower sft's weight (now "
        f"{weight:g}) if that is not meant.",
        {"factor": factor},
        "note",
    )


def _slope(view: Trajectory, facts: RunFacts) -> float | None:
    """What a nat of the chosen side changes of the preference term, at the mean reward."""
    chosen, margin = view.end("rewards/chosen"), view.end("rewards/margins")
    if "apo_zero" in facts.terms and chosen is not None:
        share = 1 / (1 + math.exp(min(abs(chosen.value), 700.0)))
        return facts.terms["apo_zero"] * facts.beta * share * (1 - share)
    if "sigmoid" in facts.terms and margin is not None:
        return facts.terms["sigmoid"] * facts.beta / (1 + math.exp(min(margin.value, 700.0)))
    return None
