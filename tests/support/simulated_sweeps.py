"""Simulate sweeps whose truth is known: right answers of models that share prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clairkit.statistics.estimates import FloatArray
from clairkit.sweep.choice import Candidate, Choice, choose, survivors

RUNGS = ((0.25, 0.6), (0.5, 0.8), (1.0, 1.0))
"""Share of the steps, and of the final effect that is there by then."""
_DIFFICULTY = 1.2
_BASE = -1.0


@dataclass(frozen=True)
class Truth:
    """A sweep before any answer: K settings, S seeds, n prompts.

    Attributes:
        effects: [K] of each setting, in logits of a right answer beyond the others.
        seeds: S.
        prompts: n.
        between_seeds: sd of a run's own effect, in logits.
        by_prompt: sd of a setting's own effect on a prompt, in logits.
    """

    effects: FloatArray
    seeds: int
    prompts: int
    between_seeds: float = 0.0
    by_prompt: float = 0.0


class Simulated:
    """One sweep of a truth: what its runs answer, at any rung."""

    def __init__(self, truth: Truth, generator: np.random.Generator) -> None:
        count, seeds, n = len(truth.effects), truth.seeds, truth.prompts
        self._truth = truth
        self._draw = generator.random
        self._hard = generator.normal(0, _DIFFICULTY, n)
        self._runs = generator.normal(0, truth.between_seeds, (count, seeds, 1))
        self._own = generator.normal(0, truth.by_prompt, (count, 1, n))
        self._base = self._answers(np.full((1, 1, 1), _BASE))[0]

    def _answers(self, effects: FloatArray) -> FloatArray:
        logits = self._hard + effects
        return (self._draw(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)

    def measured(self, settings: Sequence[int], grown: float = 1.0) -> list[Candidate]:
        """Return what settings are measured at when a share of their effect is there."""
        at = list(settings)
        effects = grown * self._truth.effects[at][:, None, None]
        right = self._answers(effects + self._runs[at] + self._own[at])
        return [Candidate(str(k), each - self._base) for k, each in zip(at, right, strict=True)]

    def grid(self) -> Choice:
        """Return the choice after all settings were trained to the end."""
        return choose(self.measured(range(len(self._truth.effects))))

    def halving(self) -> tuple[Choice, float]:
        """Return halving's choice, and the steps that it took as a share of the grid's."""
        left = list(range(len(self._truth.effects)))
        count, before, spent = len(left), 0.0, 0.0
        first: list[Candidate] = []
        for share, grown in RUNGS:
            found = self.measured(left, grown)
            spent += len(left) * (share - before)
            before = share
            first = first or found
            if share < 1.0:
                left = [left[at] for at in survivors([each.changes.mean() for each in found])]
        return choose(found, None, first), spent / count


def effect_of(errors: float, prompts: int) -> float:
    """Return the effect in logits that is worth so many standard errors of a trial's change."""
    hard = np.random.default_rng(0).normal(0, _DIFFICULTY, 100_000)

    def share(effect: float) -> FloatArray:
        return 1 / (1 + np.exp(-(hard + effect)))

    before, after = share(_BASE), share(0.0)
    # The variance of one answer minus another to the same prompt.
    variance = (before * (1 - before) + after * (1 - after)).mean() + (after - before).var()
    target = after.mean() + errors * math.sqrt(variance / prompts)
    low, high = 0.0, 6.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle).mean() < target else (low, middle)
    return low
