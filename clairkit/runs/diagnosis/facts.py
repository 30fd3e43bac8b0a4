"""Hold what the diagnosis knows beside the metrics, and what it finds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from clairkit.losses import parse_loss
from clairkit.texts import texts

# sigmoid(0.05) = 0.51: the odds of preferring the chosen side changed by one point.
STILL_REWARD = 0.05
# A token's probability changed by 2 %.
STILL_NATS = 0.02
# A learning rate is suggested that moves the model ten times as far as these limits: a reward of
# 0.5 or 0.2 nats a token. Further than a thousand times today's rate nothing can be foretold.
_AIM = 10.0
FURTHEST = 1000.0

_REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins")
_RATIOS = ("logratio/chosen", "logratio/rejected")
METRICS = (*_REWARDS, *_RATIOS, "rewards/accuracies", "loss")


@dataclass(frozen=True)
class Movement:
    """How far training moved the model, measured on some training pairs once it was over."""

    pairs: int
    end: Mapping[str, float]
    start: Mapping[str, float]
    """Empty where the reference is the model before training: rewards and log-ratios were 0."""
    dtype: str = "float32"  # of the weights that were trained
    changed: float | None = None
    """Share of those weights that differ from what they were; None where it can't be told."""
    lost: float | None = None  # share of their updates that rounding undid

    def change(self, name: str) -> float | None:
        """Return how far a reward or a log-ratio went; None where the pairs don't have it."""
        end = self.end.get(name)
        return None if end is None else end - self.start.get(name, 0.0)

    @property
    def changes(self) -> dict[str, float]:
        """The changes of rewards and log-ratios, of those that there are."""
        found = {name: self.change(name) for name in (*_REWARDS, *_RATIOS)}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def is_still(self) -> bool:
        """Return whether the model is as good as where it was."""
        return distance(self.changes) < 1


def distance(changes: Mapping[str, float]) -> float:
    """Return how far a model moved, in multiples of what is as good as nothing.

    Args:
        changes: of rewards and of log-ratios a token, by their metrics' names.
    """
    limits = {**dict.fromkeys(_REWARDS, STILL_REWARD), **dict.fromkeys(_RATIOS, STILL_NATS)}
    return max(
        (abs(changes[name]) / limits[name] for name in limits if name in changes), default=0.0
    )


def suggested_rate(learning_rate: float, moved: float) -> float | None:
    """Return a learning rate that would have moved the model clearly, to one digit, rounded down.

    While a model is near to where it was, it moves in proportion to the learning rate: all steps'
    updates do, under Adam as under plain descent, and so do log-probs.
    """
    if not (0 < learning_rate < math.inf) or moved >= 1:
        return None
    rate = learning_rate * min(_AIM / moved if moved > 0 else FURTHEST, FURTHEST)
    unit = 10.0 ** math.floor(math.log10(rate) + 1e-9)
    return float(f"{math.floor(rate / unit + 1e-9) * unit:.0e}")


FOLDER = "runs/texts"


@dataclass(frozen=True)
class Said:
    """A text of `runs/texts`: its key, and what is put in: figures, or further texts."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"key": self.key, "values": {name: _json(v) for name, v in self.values.items()}}


def part(key: str, **values: Any) -> Said:
    """Return a text of the section `parts`, to be put into another."""
    return Said(key, values)


def tell(said: Said, code: str = "en") -> tuple[str, str]:
    """Return title and text of a finding.

    Raises:
        KeyError: there is no such text, or a figure is missing.
    """
    words = texts(FOLDER, code)
    values = {name: _told(value, words["parts"]) for name, value in said.values.items()}
    found = words["diagnosis"][said.key]
    return found["title"].format(**values), found["text"].format(**values)


def from_json(value: Mapping[str, Any]) -> Said:
    """Return what `to_json` kept.

    Raises:
        KeyError, TypeError: it is something else.
    """
    return Said(value["key"], {name: _read(each) for name, each in value["values"].items()})


def headline(good: Sequence[str], problems: Sequence[str], notes: Sequence[str], code: str) -> str:
    """Return one line of titles: the good news or none, then the first two problems.

    Args:
        good: titles of good findings, the most pressing first.
        problems: of problems.
        notes: of notes, told where there is nothing else.
        code: of the language.
    """
    words: Mapping[str, str] = texts(FOLDER, code)["headline"]
    told = list(problems[:2])
    if len(problems) > 2:
        told.append(words["more"].format(n=len(problems) - 2))
    joined = words["joint"].join(told)
    if good and told:
        sentence = words["but"].format(good=good[0], problems=joined)
    else:
        first = [*good[:1]] or told or [*notes[:1]] or [words["nothing"]]
        sentence = words["joint"].join(first)
    return words["whole"].format(sentence=f"{sentence[:1].upper()}{sentence[1:]}")


def _told(value: Any, words: Mapping[str, str]) -> str:
    if isinstance(value, Said):
        values = {name: _told(each, words) for name, each in value.values.items()}
        return words[value.key].format(**values)
    if isinstance(value, str):
        return value
    return words["list_joint"].join(_told(each, words) for each in value)


def _json(value: Any) -> Any:
    if isinstance(value, Said):
        return value.to_json()
    return value if isinstance(value, str) else [_json(each) for each in value]


def _read(value: Any) -> Any:
    if isinstance(value, Mapping):
        return from_json(value)
    return value if isinstance(value, str) else [_read(each) for each in value]


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
    """One thing that the metrics show."""

    kind: str  # its name, for programs
    title: str  # a few words
    text: str  # sentences with figures, and what to do where there is something to do
    evidence: Mapping[str, float]  # the figures
    level: Severity = "problem"  # a problem to act upon, a note, or good news
    # Key and figures of title and text, to tell them in another language
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
