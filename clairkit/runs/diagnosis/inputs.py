"""What the run was given: pairs, reference, variant, and how much of it was logged."""

from __future__ import annotations

from clairkit.runs.diagnosis.facts import (
    BETTER_SOURCES,
    Finding,
    RunFacts,
    Severity,
    variant_alarm,
)
from clairkit.runs.diagnosis.trajectory import ENOUGH_ROWS, Trajectory, level

# One side is half as long again as the other.
LONGER = 1.5
# Nearly all pairs in the first tenth of the rows.
EASY = 0.95
# At least a tenth of the rows were not trained on as they are.
MANY_ROWS = 0.1


def few_rows(view: Trajectory, _facts: RunFacts) -> Finding:
    """Too few logged rows for trends."""
    count = len(view.train)
    return Finding(
        "few_rows",
        "too few logged steps to tell a trend",
        f"{count} logged training steps: too few to tell a trend from noise (at least "
        f"{ENOUGH_ROWS}). Set logging_steps: 1, or train longer.",
        {"rows": count},
        "note",
    )


def variant(_view: Trajectory, facts: RunFacts) -> Finding | None:
    text = variant_alarm(facts.loss, facts.sources)
    if text is None:
        return None
    shares = {
        "better": facts.share_of(BETTER_SOURCES),
        "off_policy": facts.share_of(frozenset({"judge_off_policy"})),
    }
    level: Severity = "problem" if "apo_down" in facts.terms else "note"
    return Finding("variant", "the loss may fight the data", f"{text}.", shares, level)


def lost_rows(_view: Trajectory, facts: RunFacts) -> Finding | None:
    total = facts.counts.get("rows", 0)
    names = {
        "truncated": "were cut",
        "too_long": "were dropped as too long",
        "identical": "were dropped for identical sides",
    }
    shares = {name: facts.counts.get(name, 0) / total for name in names if total}
    if sum(shares.values()) < MANY_ROWS:
        return None
    told = ", ".join(f"{share:.0%} {names[name]}" for name, share in shares.items() if share)
    remedy = (
        " Raise max_length." if shares["truncated"] + shares["too_long"] >= MANY_ROWS / 2 else ""
    )
    return Finding(
        "lost_rows",
        "many pairs were not trained on as they are",
        f"Of {total} pairs, {told}. What was learnt is what the others show.{remedy}",
        shares,
    )


def other_reference(_view: Trajectory, facts: RunFacts) -> Finding | None:
    if not facts.reference.startswith("model:"):
        return None
    return Finding(
        "other_reference",
        "rewards are relative to another model",
        f"The reference is {facts.reference.removeprefix('model:')}: rewards and log-ratios say "
        "how the model differs from it, not how it changed in training.",
        {},
        "note",
    )


def lengths_differ(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Length alone can tell the sides apart."""
    chosen, rejected = level(view.train, "lengths/chosen"), level(view.train, "lengths/rejected")
    if chosen is None or rejected is None or not (chosen.value > 0 and rejected.value > 0):
        return None
    ratio = chosen.value / rejected.value
    if 1 / LONGER < ratio < LONGER:
        return None
    word, factor = ("long", ratio) if ratio > 1 else ("short", 1 / ratio)
    return Finding(
        "lengths_differ",
        f"chosen answers are {factor:.1f} times as {word}",
        f"Chosen answers are {factor:.1f} times as {word} as rejected ones ({chosen.value:.0f} "
        f"against {rejected.value:.0f} tokens): part of what is learnt may be length.",
        {"lengths/chosen": chosen.value, "lengths/rejected": rejected.value},
        "note",
    )


def easy_pairs(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Nearly all pairs are told apart from the first steps on."""
    first = view.train[: max(2, len(view.train) // 10)]
    accuracy = level(first, "rewards/accuracies")
    if accuracy is None or accuracy.value < EASY:
        return None
    step = int(first[-1].get("step", 0))
    return Finding(
        "easy_pairs",
        "the pairs are told apart at once",
        f"By step {step} the chosen side had gained more in {accuracy.value:.0%} of the pairs: "
        "something easy tells them apart (a phrase, a format, length). If that is not what you "
        "want to teach, accuracy and margin say little here.",
        {"rewards/accuracies": accuracy.value, "step": step},
        "note",
    )
