"""Simulated evaluations whose true figures are known, to see how often intervals hold them.

Scores are made from uniform numbers that hang together (a Gaussian copula over clusters and
prompts), so that the mean score of each prompt is exactly the probability it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

Array = NDArray[np.float64]

SINGLE, FIVES, UNEQUAL = "each prompt alone", "clusters of five", "unequal clusters"


@dataclass(frozen=True)
class Prompts:
    """n prompts in clusters, with a latent number each that clusters share in part.

    Attributes:
        labels: [n] cluster of each prompt.
        latent: [n] standard normal, correlated 0.3 within a cluster.
    """

    labels: list[int]
    latent: Array

    @property
    def n(self) -> int:
        return len(self.labels)


def draw_prompts(n: int, kind: str, generator: np.random.Generator) -> Prompts:
    """Return n prompts, in clusters of a kind."""
    if kind == SINGLE:
        sizes = np.ones(n, dtype=int)
    elif kind == FIVES:
        sizes = np.full(n // 5, 5)
    else:  # sizes of mean five, the last cut so that there are n
        sizes = generator.geometric(0.2, size=n)
        sizes = sizes[: int(np.searchsorted(sizes.cumsum(), n)) + 1]
        sizes[-1] -= sizes.sum() - n
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return Prompts(labels.tolist(), shared(labels, generator))


def shared(labels: Array | list[int], generator: np.random.Generator, of: float = 0.3) -> Array:
    """Return standard normal numbers that correlate within a cluster."""
    codes = np.asarray(labels, dtype=int)
    common = generator.normal(size=int(codes.max()) + 1)[codes]
    return np.asarray(np.sqrt(of) * common + np.sqrt(1 - of) * generator.normal(size=len(codes)))


def verdict(chance: Array, latent: Array, generator: np.random.Generator) -> Array:
    """Return a score in {0, 1/2, 1} a prompt, of mean `chance`; verdicts share the latent number.

    A tenth of them are ties, where the chance leaves room for as many.
    """
    mixed = np.sqrt(0.5) * latent + np.sqrt(0.5) * generator.normal(size=len(latent))
    uniform = ndtr(mixed)
    band = np.minimum(0.05, np.minimum(chance, 1 - chance))
    return np.asarray((uniform < chance - band) * 0.5 + (uniform < chance + band) * 0.5)


def scores(chance: Array, prompts: Prompts, generator: np.random.Generator) -> Array:
    """Return the mean of four verdicts: two judges, both orders, with a lean to the first."""
    lean = 0.3 * np.minimum(chance, 1 - chance)
    shown = [chance + lean, chance - lean] * 2
    return np.mean([verdict(each, prompts.latent, generator) for each in shown], axis=0)


def lengths(prompts: Prompts, generator: np.random.Generator) -> Array:
    """Return length differences of mean 100 and sd 200, alike within a cluster."""
    return 100 + 200 * shared(prompts.labels, generator)


def chances(prompts: Prompts, mean: float, generator: np.random.Generator) -> tuple[Array, float]:
    """Return a chance a prompt, alike within a cluster, and the mean of all that could be drawn."""
    at, weights = np.polynomial.hermite_e.hermegauss(60)
    truth = float((weights * expit(mean + at)).sum() / weights.sum())
    return expit(mean + shared(prompts.labels, generator)), truth


def coverage(trial: Callable[[np.random.Generator], bool], trials: int, seed: int = 0) -> float:
    """Return in which share of trials an interval held the true value."""
    return float(np.mean([trial(np.random.default_rng([seed, at])) for at in range(trials)]))
