"""Tell where both sides went: the finding that every run with a trend has."""

from __future__ import annotations

from collections.abc import Mapping

from clairkit.runs.diagnosis.facts import (
    DIFFERENCE_LOSSES,
    METRICS,
    Finding,
    RunFacts,
    Said,
    distance,
    finding,
    part,
)
from clairkit.runs.diagnosis.moved import exploded, hardly_moved
from clairkit.runs.diagnosis.trajectory import Trajectory, product


def direction(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Return where both sides went: the one finding that every run with a trend should have."""
    if exploded(view, facts):
        return None
    if facts.movement.is_still if facts.movement else is_still(view):
        return hardly_moved(_changes(view, facts), facts)
    chosen, rejected = view.end("rewards/chosen"), view.end("rewards/rejected")
    margin = view.end("rewards/margins")
    if chosen is None or rejected is None or margin is None:
        return None
    evidence = {
        "rewards/chosen": chosen.value,
        "rewards/rejected": rejected.value,
        "rewards/margins": margin.value,
    }
    figures = part("rewards", chosen=f"{chosen.value:+.3g}", rejected=f"{rejected.value:+.3g}")
    if margin.down and set(facts.terms) != {"sft"}:
        rate = f"{facts.learning_rate:g}"
        return finding("inverted", evidence, figures=figures, rate=rate)
    if chosen.down and rejected.down:
        return _both_fell(view, facts, figures, evidence)
    if chosen.up and rejected.down and "apo_down" in facts.terms:
        return finding("chosen_up", evidence, "note", figures=figures)
    if chosen.up and rejected.down:
        share = view.end("quadrants/chosen_up_rejected_down")
        pairs = "" if share is None else part("so_did", share=f"{share.value:.0%}")
        return finding("as_wanted", evidence, "good", figures=figures, pairs=pairs)
    if chosen.up and rejected.up:
        is_sft = set(facts.terms) == {"sft"}
        reason = part("rose_sft" if is_sft else "rose_shared")
        return finding("both_rose", evidence, "note", figures=figures, reason=reason)
    told = {"margin": f"{margin.value:+.3g}", "rows": str(margin.rows)}
    return finding("no_direction", evidence, "note", figures=figures, **told)


def is_still(view: Trajectory) -> bool:
    """Return whether the last rows show next to no movement; none at all counts as still."""
    return distance(_levels(view)) < 1


def _levels(view: Trajectory) -> dict[str, float]:
    found = {name: view.end(name) for name in METRICS}
    return {name: item.value for name, item in found.items() if item is not None}


def _changes(view: Trajectory, facts: RunFacts) -> dict[str, float]:
    return facts.movement.changes if facts.movement else _levels(view)


def _both_fell(
    view: Trajectory, facts: RunFacts, figures: Said, evidence: Mapping[str, float]
) -> Finding:
    if "apo_down" in facts.terms:
        return finding("both_fell", evidence, "good", "both_fell_wanted", figures=figures)
    differences = sorted(DIFFERENCE_LOSSES & facts.terms.keys())
    reason: Said | str = ""
    if differences:
        reason = part("difference", loss=differences[0])
    elif "apo_zero" in facts.terms:
        reason = part("zero_pushed")
    cause, figures_of_cause = _cause_of_fall(view)
    return finding(
        "both_fell",
        {**evidence, **figures_of_cause},
        figures=figures,
        reason=reason,
        cause=cause,
        remedies=_remedies_of_fall(facts),
    )


def _cause_of_fall(view: Trajectory) -> tuple[Said | str, dict[str, float]]:
    """Return whether the chosen side fell on what it shares with the rejected one."""
    edited, shared = side_nats(view, "chosen")
    if edited is None or shared is None:
        return "", {}
    evidence = {"chosen_edited_nats": edited, "chosen_shared_nats": shared}
    key = "fell_shared" if shared < edited else "fell_edited"
    if shared < 0 <= edited:
        key = "pulled_along"
    return part(key, edited=f"{edited:+.3g}", shared=f"{shared:+.3g}"), evidence


def _remedies_of_fall(facts: RunFacts) -> list[Said]:
    remedies = []
    if facts.terms.keys() & DIFFERENCE_LOSSES:
        remedies.append(part("use_zero"))
    if "sft" not in facts.terms:
        remedies.append(part("use_sft", loss=facts.loss))
    if facts.loss_mask == "all":
        remedies.append(part("use_mask"))
    return [*remedies, part("lower_rate", rate=f"{facts.learning_rate:g}")]


def side_nats(view: Trajectory, side: str) -> tuple[float | None, float | None]:
    """Return a side's log-ratio in nats a pair, on edited and on shared tokens, at the end."""
    rows = view.train[-view.window :]
    edited, shared = (
        product(rows, f"logratio/{side}_{span}", f"lengths/{side}_{span}")
        for span in ("edited", "shared")
    )
    return edited, shared
