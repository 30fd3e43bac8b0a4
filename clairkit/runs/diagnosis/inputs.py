"""Find what is wrong with what the run was given: pairs, reference, variant, logging."""

from __future__ import annotations

from collections import Counter

from clairkit.runs.diagnosis.facts import (
    BETTER_SOURCES,
    Finding,
    RunFacts,
    Severity,
    finding,
    part,
    variant_said,
)
from clairkit.runs.diagnosis.trajectory import ENOUGH_ROWS, Trajectory, level

# One side is half as long again as the other.
LONGER = 1.5
# Nearly all pairs in the first tenth of the rows.
EASY = 0.95
# At least a tenth of the rows were not trained on as they are.
MANY_ROWS = 0.1


def few_rows(view: Trajectory, _facts: RunFacts) -> Finding:
    """Find that there are too few logged rows for trends."""
    count = len(view.train)
    return finding("few_rows", {"rows": count}, "note", count=str(count), least=str(ENOUGH_ROWS))


def variant(_view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find that the variant of APO may be the wrong one for these pairs."""
    said = variant_said(facts.loss, facts.sources)
    if said is None:
        return None
    shares = {
        "better": facts.share_of(BETTER_SOURCES),
        "off_policy": facts.share_of(frozenset({"judge_off_policy"})),
    }
    level: Severity = "problem" if "apo_down" in facts.terms else "note"
    return finding("variant", shares, level, said.key, **said.values)


def lost_rows(_view: Trajectory, facts: RunFacts) -> Finding | None:
    """Find that many rows were cut or dropped."""
    counts = Counter(facts.counts)
    counts["identical"] += counts["identical_but_thoughts"]
    total = counts["rows"]
    shares = {
        name: counts[name] / total for name in ("truncated", "too_long", "identical") if total
    }
    if sum(shares.values()) < MANY_ROWS:
        return None
    told = [part(name, share=f"{share:.0%}") for name, share in shares.items() if share]
    has_cut_many = shares["truncated"] + shares["too_long"] >= MANY_ROWS / 2
    remedy = part("raise_length") if has_cut_many else ""
    return finding("lost_rows", shares, pairs=str(total), told=told, remedy=remedy)


def other_reference(_view: Trajectory, facts: RunFacts) -> Finding | None:
    """Note that rewards say how the model differs from another one."""
    if not facts.reference.startswith("model:"):
        return None
    reference = facts.reference.removeprefix("model:")
    return finding("other_reference", {}, "note", reference=reference)


def lengths_differ(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Find that length alone can tell the sides apart."""
    chosen, rejected = level(view.train, "lengths/chosen"), level(view.train, "lengths/rejected")
    if chosen is None or rejected is None or not (chosen.value > 0 and rejected.value > 0):
        return None
    ratio = chosen.value / rejected.value
    if 1 / LONGER < ratio < LONGER:
        return None
    key, factor = ("longer", ratio) if ratio > 1 else ("shorter", 1 / ratio)
    return finding(
        "lengths_differ",
        {"lengths/chosen": chosen.value, "lengths/rejected": rejected.value},
        "note",
        key,
        factor=f"{factor:.1f}",
        chosen=f"{chosen.value:.0f}",
        rejected=f"{rejected.value:.0f}",
    )


def easy_pairs(view: Trajectory, _facts: RunFacts) -> Finding | None:
    """Find that nearly all pairs are told apart from the first steps on."""
    first = view.train[: max(2, len(view.train) // 10)]
    accuracy = level(first, "rewards/accuracies")
    if accuracy is None or accuracy.value < EASY:
        return None
    step = int(first[-1].get("step", 0))
    evidence = {"rewards/accuracies": accuracy.value, "step": step}
    return finding("easy_pairs", evidence, "note", step=str(step), share=f"{accuracy.value:.0%}")
