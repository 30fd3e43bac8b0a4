"""Findings that rest on what was measured after the last step, however few steps there were."""

from __future__ import annotations

from collections.abc import Mapping

from clairkit.runs.diagnosis.facts import Finding, RunFacts, Severity
from clairkit.runs.diagnosis.movement import (
    FURTHEST,
    STILL_REWARD,
    Movement,
    distance,
    suggested_rate,
)
from clairkit.runs.diagnosis.trajectory import Trajectory, series

# Beyond this reward a side has less than a tenth of its gradient at step 0: it is out of reach.
FAR_BELOW = -3.637
# The loss of a run that learnt anything fell by more than a twentieth.
FELL = 0.05
# Half of all updates came to nothing.
MOST_UPDATES = 0.5


def moved(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Whether the model moved, and where to; for runs too short for a trend."""
    movement = facts.movement
    if movement is None or not movement.changes or exploded(view, facts):
        return None
    if movement.is_still:
        return hardly_moved(movement.changes, facts)
    title, level = _course(movement, facts)
    return Finding(
        "moved",
        f"the model moved: {title}",
        f"The model moved: {title}. {_figures(movement.changes)}, measured on {movement.pairs} of "
        "the training pairs after the last step.",
        movement.changes,
        level,
    )


def _course(movement: Movement, facts: RunFacts) -> tuple[str, Severity]:
    """Where both sides went, in words, and how good that is."""
    chosen, rejected = movement.change("rewards/chosen"), movement.change("rewards/rejected")
    if chosen is None or rejected is None:
        return "one side alone is there", "note"
    ways = {True: "up", False: "down"}
    words = f"chosen {ways[chosen > 0]}, rejected {ways[rejected > 0]}"
    if rejected - chosen > STILL_REWARD and set(facts.terms) != {"sft"}:
        return f"{words}, and the rejected side gained on the chosen one", "problem"
    wanted = chosen < 0 and rejected < 0 if "apo_down" in facts.terms else rejected < 0 < chosen
    return (f"{words}, as wanted", "good") if wanted else (words, "note")


def hardly_moved(changes: Mapping[str, float], facts: RunFacts) -> Finding:
    """The model is as good as where it was; with a learning rate that would have moved it.

    Args:
        changes: of rewards and log-ratios, by their metrics' names.
        facts: what the run was.
    """
    return Finding(
        "hardly_moved",
        "the model hardly moved",
        f"The model hardly moved: {_figures(changes)}. {_remedy(changes, facts)}",
        changes,
    )


def _remedy(changes: Mapping[str, float], facts: RunFacts) -> str:
    if rounded_away(None, facts) and facts.movement and facts.movement.dtype != "float32":
        return "Its updates were lost to rounding, see there."
    now = facts.learning_rate
    rate = suggested_rate(now, distance(changes))
    if rate is None:
        return "Train for more steps."
    more = " or more" if rate >= now * FURTHEST / 2 else ""
    return (
        f"Raise the learning rate (now {now:g}) to about {rate:g}{more}, at which these steps "
        "would have moved it clearly, or train for more steps."
    )


def exploded(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Both sides are far less likely than before, and the loss has gained nothing by it."""
    movement = facts.movement
    if movement is None:
        return None
    chosen, rejected = movement.change("rewards/chosen"), movement.change("rewards/rejected")
    if chosen is None or rejected is None or max(chosen, rejected) > FAR_BELOW:
        return None
    first = series(view.train, "loss")
    start, end = movement.start.get("loss", first[0][1] if first else None), movement.end["loss"]
    if start is None or end < start - FELL * abs(start):
        return None
    half = (
        f" The weights are {movement.dtype}: train them in float32 (dtype: float32, with bf16: "
        "true on a GPU)."
        if movement.dtype != "float32"
        else ""
    )
    return Finding(
        "exploded",
        "the run exploded",
        f"The run exploded: rewards {chosen:+.3g} chosen, {rejected:+.3g} rejected, both sides far "
        f"below where they began, and the loss is {end:.3g} after {start:.3g}. The model is "
        f"spoilt. Lower the learning rate (now {facts.learning_rate:g}) to a tenth.{half}",
        {"rewards/chosen": chosen, "rewards/rejected": rejected, "loss": end},
    )


def rounded_away(_view: Trajectory | None, facts: RunFacts) -> Finding | None:
    """Most updates were smaller than the weights' rounding."""
    movement = facts.movement
    if movement is None or movement.lost is None or movement.lost <= MOST_UPDATES:
        return None
    changed = "" if movement.changed is None else f", and {movement.changed:.1%} of them changed"
    remedy = (
        "raise the learning rate"
        if movement.dtype == "float32"
        else "set dtype: float32 (with bf16: true on a GPU the products stay fast)"
    )
    return Finding(
        "rounded_away",
        "updates were lost to rounding",
        f"{movement.lost:.0%} of the updates were too small to change a weight: the weights are "
        f"trained in {movement.dtype}{changed}. To keep them, {remedy}.",
        {"lost": movement.lost}
        | ({} if movement.changed is None else {"changed": movement.changed}),
    )


def _figures(changes: Mapping[str, float]) -> str:
    names = (("rewards/chosen", "chosen"), ("rewards/rejected", "rejected"))
    rewards = [f"{changes[key]:+.3g} {name}" for key, name in names if key in changes]
    ratio = changes.get("logratio/chosen", changes.get("logratio/rejected"))
    side = "chosen" if "logratio/chosen" in changes else "rejected"
    token = "" if ratio is None else f"; a {side} token's log-prob changed by {ratio:+.2g} nats"
    return f"rewards {', '.join(rewards)}{token}" if rewards else "nothing was measured"
