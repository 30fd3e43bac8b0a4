"""Find what was measured after the last step, however few steps there were."""

from __future__ import annotations

from collections.abc import Mapping

from clairkit.runs.diagnosis.facts import (
    FURTHEST,
    STILL_REWARD,
    Finding,
    Movement,
    RunFacts,
    Said,
    Severity,
    distance,
    finding,
    part,
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
    """Tell whether the model moved, and where to; for runs too short for a trend."""
    movement = facts.movement
    if movement is None or not movement.changes or exploded(view, facts):
        return None
    if movement.is_still:
        return hardly_moved(movement.changes, facts)
    course, level = _course(movement, facts)
    return finding(
        "moved",
        movement.changes,
        level,
        course=course,
        figures=_figures(movement.changes),
        pairs=str(movement.pairs),
    )


def _course(movement: Movement, facts: RunFacts) -> tuple[Said, Severity]:
    """Return where both sides went, and how good that is."""
    chosen, rejected = movement.change("rewards/chosen"), movement.change("rewards/rejected")
    if chosen is None or rejected is None:
        return part("one_side"), "note"
    ways = {True: "up", False: "down"}
    course = part(f"{ways[chosen > 0]}_{ways[rejected > 0]}")
    if rejected - chosen > STILL_REWARD and set(facts.terms) != {"sft"}:
        return part("gained", course=course), "problem"
    wanted = chosen < 0 and rejected < 0 if "apo_down" in facts.terms else rejected < 0 < chosen
    return (part("wanted", course=course), "good") if wanted else (course, "note")


def hardly_moved(changes: Mapping[str, float], facts: RunFacts) -> Finding:
    """Find that the model is as good as where it was, and suggest a learning rate."""
    figures, remedy = _figures(changes), _remedy(changes, facts)
    return finding("hardly_moved", changes, figures=figures, remedy=remedy)


def _remedy(changes: Mapping[str, float], facts: RunFacts) -> Said:
    if rounded_away(None, facts) and facts.movement and facts.movement.dtype != "float32":
        return part("see_rounding")
    now = facts.learning_rate
    rate = suggested_rate(now, distance(changes))
    if rate is None:
        return part("more_steps")
    key = "raise_rate_far" if rate >= now * FURTHEST / 2 else "raise_rate"
    return part(key, now=f"{now:g}", rate=f"{rate:g}")


def exploded(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find that both sides are far less likely than before, and that the loss gained nothing."""
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
    half = part("half", dtype=movement.dtype) if movement.dtype != "float32" else ""
    return finding(
        "exploded",
        {"rewards/chosen": chosen, "rewards/rejected": rejected, "loss": end},
        figures=part("rewards", chosen=f"{chosen:+.3g}", rejected=f"{rejected:+.3g}"),
        start=f"{start:.3g}",
        end=f"{end:.3g}",
        rate=f"{facts.learning_rate:g}",
        half=half,
    )


def rounded_away(_view: Trajectory | None, facts: RunFacts) -> Finding | None:
    """Find that most updates were smaller than the weights' rounding."""
    movement = facts.movement
    if movement is None or movement.lost is None or movement.lost <= MOST_UPDATES:
        return None
    is_whole = movement.dtype == "float32"
    changed = movement.changed
    return finding(
        "rounded_away",
        {"lost": movement.lost} | ({} if changed is None else {"changed": changed}),
        share=f"{movement.lost:.0%}",
        dtype=movement.dtype,
        changed="" if changed is None else part("changed", share=f"{changed:.1%}"),
        remedy=part("remedy_rate" if is_whole else "remedy_dtype"),
    )


def _figures(changes: Mapping[str, float]) -> Said:
    names = {"chosen": "rewards/chosen", "rejected": "rewards/rejected"}
    rewards = {side: f"{changes[key]:+.3g}" for side, key in names.items() if key in changes}
    if not rewards:
        return part("nothing_measured")
    ratio = changes.get("logratio/chosen", changes.get("logratio/rejected"))
    side = "chosen" if "logratio/chosen" in changes else "rejected"
    token = "" if ratio is None else part(f"token_{side}", value=f"{ratio:+.2g}")
    if len(rewards) == 2:
        return part("figures", rewards=part("rewards", **rewards), token=token)
    ((only, value),) = rewards.items()
    return part("figures", rewards=part(f"reward_{only}", value=value), token=token)
