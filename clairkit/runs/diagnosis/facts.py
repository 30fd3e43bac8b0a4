"""What the diagnosis knows beside the metrics, what it finds, and the alarm that needs neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from clairkit.losses import parse_loss
from clairkit.runs.diagnosis.movement import Movement

Severity = Literal["problem", "note", "good"]

# Losses of the difference of both log-ratios: falling together costs them nothing.
DIFFERENCE_LOSSES = frozenset(
    {
        "sigmoid",
        "sigmoid_norm",
        "hinge",
        "ipo",
        "robust",
        "exo_pair",
        "aot",
        "aot_unpaired",
        "discopop",
    }
)
# Sources whose chosen side is a stronger model's work: better than the model's own answer.
BETTER_SOURCES = frozenset({"clair", "stronger_preferred"})


@dataclass(frozen=True)
class RunFacts:
    """What the run was, as far as the diagnosis reads it."""

    loss: str
    beta: float
    learning_rate: float
    sources: Mapping[str, int] = field(default_factory=dict)  # pairs by their `source`
    counts: Mapping[str, int] = field(default_factory=dict)  # of encode_pairs: rows, truncated, …
    reference: str = "start"  # start, base, adapter:PATH, model:ID or cache:FILE
    loss_mask: str = "all"
    movement: Movement | None = None  # measured at the end; None: of a run that did not measure it

    @property
    def terms(self) -> dict[str, float]:
        """Losses with their weights."""
        return {name: weight for weight, name in parse_loss(self.loss).terms}

    def share_of(self, sources: frozenset[str]) -> float:
        """Share of the pairs that come from these sources; 0 when none is known."""
        total = sum(self.sources.values())
        return sum(self.sources.get(name, 0) for name in sources) / total if total else 0.0


@dataclass(frozen=True)
class Finding:
    """One thing that the metrics show.

    Attributes:
        kind: its name, for programs.
        title: a few words.
        text: sentences with figures, and what to do where there is something to do.
        evidence: the figures.
        level: a problem to act upon, a note, or good news.
    """

    kind: str
    title: str
    text: str
    evidence: Mapping[str, float]
    level: Severity = "problem"


def variant_alarm(loss: str, sources: Mapping[str, int]) -> str | None:
    """Return a warning when the APO variant fights the data, None when nothing speaks against it.

    apo_zero is for chosen sides better than what the model says by itself, apo_down for chosen
    sides that are worse (arXiv 2408.06266, section 3). Where a chosen side is a stronger model's
    work, or may come from a weaker one, the pairs say which. Pairs of `judge_on_policy` and
    `imported` don't, and neither do mixed sources without a majority.

    Args:
        loss: a loss or a sum of losses.
        sources: pairs by their `source`.
    """
    facts = RunFacts(loss, beta=1.0, learning_rate=0.0, sources=sources)
    total = sum(sources.values())
    better = facts.share_of(BETTER_SOURCES)
    others = facts.share_of(frozenset({"judge_off_policy"}))
    if "apo_down" in facts.terms and better > 0.5:
        return (
            f"{better:.0%} of {total} pairs hold a stronger model's work as the chosen side "
            "(clair, stronger_preferred), and apo_down makes chosen answers less likely. Use "
            "apo_zero, unless your model is better than its reviser"
        )
    if "apo_zero" in facts.terms and others > 0.5:
        return (
            f"{others:.0%} of {total} pairs were judged between other models' answers "
            "(judge_off_policy), and apo_zero makes the chosen one more likely. If your model is "
            "better than those models, use apo_down"
        )
    return None
