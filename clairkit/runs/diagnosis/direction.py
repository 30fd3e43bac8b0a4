"""Where both sides went: the finding that every run with a trend has."""

from __future__ import annotations

from collections.abc import Mapping

from clairkit.runs.diagnosis.facts import DIFFERENCE_LOSSES, Finding, RunFacts
from clairkit.runs.diagnosis.moved import exploded, hardly_moved
from clairkit.runs.diagnosis.movement import METRICS, distance
from clairkit.runs.diagnosis.trajectory import Trajectory, product


def direction(view: Trajectory, facts: RunFacts) -> Finding | None:
    """Where both sides went: the one finding that every run with a trend should have."""
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
    figures = f"rewards {chosen.value:+.3g} chosen, {rejected.value:+.3g} rejected"
    if margin.down and set(facts.terms) != {"sft"}:
        return Finding(
            "inverted",
            "the rejected side gained on the chosen one",
            f"The rejected side gained on the chosen one: {figures}. The loss asks for the "
            "opposite. Check that chosen and rejected are not swapped, then lower the learning "
            f"rate (now {facts.learning_rate:g}).",
            evidence,
        )
    if chosen.down and rejected.down:
        return _both_fell(view, facts, figures, evidence)
    if chosen.up and rejected.down and "apo_down" in facts.terms:
        return Finding(
            "chosen_up",
            "the chosen side rose against apo_down",
            f"Chosen up, rejected down: {figures}. apo_down asks for both to fall; this is what "
            "apo_zero asks for.",
            evidence,
            "note",
        )
    if chosen.up and rejected.down:
        wanted = _quadrant(view)
        return Finding(
            "as_wanted",
            "chosen up, rejected down, as wanted",
            f"Chosen up, rejected down, as wanted: {figures}{wanted}.",
            evidence,
            "good",
        )
    if chosen.up and rejected.up:
        return _both_rose(facts, figures, evidence)
    return Finding(
        "no_direction",
        "no clear direction of each side",
        f"The margin is {margin.value:+.3g}, but at least one side's own direction can't be told "
        f"from the noise of {margin.rows} rows: {figures}.",
        evidence,
        "note",
    )


def _quadrant(view: Trajectory) -> str:
    share = view.end("quadrants/chosen_up_rejected_down")
    return "" if share is None else f"; so did {share.value:.0%} of the pairs"


def is_still(view: Trajectory) -> bool:
    """Whether the last rows show next to no movement; none at all counts as still."""
    return distance(_levels(view)) < 1


def _levels(view: Trajectory) -> dict[str, float]:
    found = {name: view.end(name) for name in METRICS}
    return {name: item.value for name, item in found.items() if item is not None}


def _changes(view: Trajectory, facts: RunFacts) -> dict[str, float]:
    return facts.movement.changes if facts.movement else _levels(view)


def _both_fell(
    view: Trajectory, facts: RunFacts, figures: str, evidence: Mapping[str, float]
) -> Finding:
    said = f"Both sides became less likely than under the reference: {figures}"
    if "apo_down" in facts.terms:
        text = f"{said}, the rejected side more. That is what apo_down asks for."
        return Finding("both_fell", "both sides down, as apo_down asks", text, evidence, "good")
    differences = sorted(DIFFERENCE_LOSSES & facts.terms.keys())
    if differences:
        said += (
            f". {differences[0]} sees only the difference of the two, so that falling together "
            "costs it nothing"
        )
    elif "apo_zero" in facts.terms:
        said += (
            ". apo_zero pulls the chosen side up, but pushing the rejected side down was stronger"
        )
    cause, figures_of_cause = _cause_of_fall(view)
    return Finding(
        "both_fell",
        "both sides fell",
        f"{said}.{cause} {_remedies_of_fall(facts)}",
        {**evidence, **figures_of_cause},
    )


def _cause_of_fall(view: Trajectory) -> tuple[str, dict[str, float]]:
    """Whether the chosen side fell on what it shares with the rejected one."""
    edited, shared = side_nats(view, "chosen")
    if edited is None or shared is None:
        return "", {}
    evidence = {"chosen_edited_nats": edited, "chosen_shared_nats": shared}
    figures = f"({edited:+.3g} nats a pair on edited tokens, {shared:+.3g} on shared ones)"
    if shared < 0 <= edited:
        return (
            f" The chosen side rose where it was edited and fell where it equals the rejected one "
            f"{figures}: it was pulled along.",
            evidence,
        )
    if shared < edited:
        return f" Most of the fall is on tokens that both sides share {figures}.", evidence
    return f" Most of the fall is on edited tokens {figures}.", evidence


def _remedies_of_fall(facts: RunFacts) -> str:
    remedies = []
    if facts.terms.keys() & DIFFERENCE_LOSSES:
        remedies.append("--loss apo_zero where chosen answers are better than the model's own")
    if "sft" not in facts.terms:
        remedies.append(f"--loss {facts.loss}+sft, which holds the chosen side up")
    if facts.loss_mask == "all":
        remedies.append("--loss-mask edits, which leaves shared tokens out")
    remedies.append(f"a learning rate below {facts.learning_rate:g}")
    return f"What helps: {'; '.join(remedies)}."


def _both_rose(facts: RunFacts, figures: str, evidence: Mapping[str, float]) -> Finding:
    reason = (
        "sft reads the chosen side alone, and the rejected one, which resembles it, goes along"
        if set(facts.terms) == {"sft"}
        else "what both sides share became likelier"
    )
    return Finding(
        "both_rose",
        "both sides rose",
        f"Both sides became likelier than under the reference: {figures}; {reason}.",
        evidence,
        "note",
    )


def side_nats(view: Trajectory, side: str) -> tuple[float | None, float | None]:
    """Return a side's log-ratio in nats a pair, on edited and on shared tokens, at the end."""
    rows = view.train[-view.window :]
    edited, shared = (
        product(rows, f"logratio/{side}_{span}", f"lengths/{side}_{span}")
        for span in ("edited", "shared")
    )
    return edited, shared
