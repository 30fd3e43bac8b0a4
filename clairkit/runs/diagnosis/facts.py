"""Hold what the diagnosis knows beside the metrics, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clairkit.losses import parse_loss
from clairkit.runs.diagnosis.movement import Movement
from clairkit.runs.diagnosis.wording import Said, tell

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
        said: key and figures of title and text, to tell them in another language.
    """

    kind: str
    title: str
    text: str
    evidence: Mapping[str, float]
    level: Severity = "problem"
    said: Mapping[str, Any] | None = None


def finding(
    kind: str,
    evidence: Mapping[str, float],
    level: Severity = "problem",
    key: str = "",
    **values: Any,
) -> Finding:
    """Return a finding with its texts in English.

    Args:
        kind: its name.
        evidence: the figures.
        level: how pressing it is.
        key: of its texts, if not `kind`.
        values: what is put into them: texts, or parts of `runs/texts`.
    """
    said = Said(key or kind, values)
    return Finding(kind, *tell(said), evidence, level, said.to_json())


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
    said = variant_said(loss, sources)
    return None if said is None else tell(said)[1].removesuffix(".")


def variant_said(loss: str, sources: Mapping[str, int]) -> Said | None:
    """Return the texts of the warning, see `variant_alarm`."""
    facts = RunFacts(loss, beta=1.0, learning_rate=0.0, sources=sources)
    pairs = str(sum(sources.values()))
    better = facts.share_of(BETTER_SOURCES)
    others = facts.share_of(frozenset({"judge_off_policy"}))
    if "apo_down" in facts.terms and better > 0.5:
        return Said("variant_down", {"share": f"{better:.0%}", "pairs": pairs})
    if "apo_zero" in facts.terms and others > 0.5:
        return Said("variant_zero", {"share": f"{others:.0%}", "pairs": pairs})
    return None
