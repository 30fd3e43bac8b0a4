"""Choose a setting by the one-standard-error rule, or say that the data can't tell.

Shapes: K settings, S seeds of a setting (they may differ), n prompts, the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from clairkit.errors import UsageError
from clairkit.statistics.clusters import Clusters, cluster, sandwich_error
from clairkit.statistics.estimates import FloatArray, t_quantile

ALPHA = 0.05
"""Chance of calling equal settings separable."""


@dataclass(frozen=True)
class Candidate:
    """A setting with what it was measured at.

    Attributes:
        name: of the setting.
        changes: [S, n] of each seed and prompt, the score minus the base's.
    """

    name: str
    changes: FloatArray


@dataclass(frozen=True)
class Choice:
    """What the data say of the settings.

    Attributes:
        name: of the chosen setting; None where nothing can be chosen.
        is_separable: whether one setting is better than the others are on average, beyond chance.
        best: the setting with the highest mean.
        near: the settings within one standard error of the best, itself among them.
        is_above_base: whether the chosen setting is better than the base, beyond chance.
        reason: in a sentence.
    """

    name: str | None
    is_separable: bool
    best: str
    near: tuple[str, ...]
    is_above_base: bool
    reason: str


class Contrasts:
    """Standard errors of contrasts between settings, over further seeds and further prompts.

    Variances are clustered two ways (Cameron, Gelbach and Miller 2011): what runs add, pooled over
    settings, plus what prompts add, minus what both count, the noise of single answers. With one
    seed a setting, nothing is known of runs, and the error is that of prompts alone: 44 % of equal
    settings would seem separable in simulation, so that they never are.

    Args:
        candidates: at least one.
        labels: [n] cluster of each prompt; None when prompts are independent.
        others: runs of other settings, which say, too, how far runs of one setting differ.

    Raises:
        UsageError: there is no candidate, or they were not measured at the same prompts.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        labels: Sequence[Hashable] | None = None,
        others: Sequence[Candidate] = (),
    ) -> None:
        widths = {each.changes.shape[1] for each in candidates}
        if len(widths) != 1:
            problem = "settings need the same prompts"
            raise UsageError(problem, received=f"{sorted(widths)} prompts")
        self._groups: Clusters = cluster(labels, widths.pop())
        self.by_prompt = np.stack([each.changes.mean(0) for each in candidates])  # [K, n]
        self.means = self.by_prompt.mean(1)  # [K]
        self._seeds = np.array([len(each.changes) for each in candidates], dtype=np.float64)
        runs = [each.changes for each in (*candidates, *others)]
        self._dof = float(sum(len(each) - 1 for each in runs))
        self._runs, self._noise = self._pooled(runs)

    @property
    def has_seeds(self) -> bool:
        """Whether a setting was run twice, so that the spread between runs is known."""
        return self._dof > 0

    def _pooled(self, changes: Sequence[FloatArray]) -> tuple[float, float]:
        """Return the variance between runs of a setting, and what of it is noise of answers."""
        if not self._dof:
            return 0.0, 0.0
        centred = [each - each.mean(0) for each in changes]
        runs = sum(float((each.mean(1) ** 2).sum()) for each in centred)
        inner = sum(float(((each - each.mean(1)[:, None]) ** 2).sum()) for each in centred)
        n = self.by_prompt.shape[1]
        noise = inner / (self._dof * max(n - 1, 1)) / n
        return runs / self._dof, noise

    def error(self, weights: FloatArray) -> tuple[float, float]:
        """Return the standard error of `weights` [K] times the means, and its degrees of freedom.

        It is never below 1 / n: as if one prompt might have gone the other way.
        """
        spread = float((weights**2 / self._seeds).sum())
        values = weights @ self.by_prompt
        n, groups = len(values), self._groups
        prompts = sandwich_error((values - values.mean()) / n, groups) ** 2 * groups.correction
        runs, noise = self._runs * spread, self._noise * spread
        variance = max(runs + prompts - noise, runs, prompts)
        parts = runs**2 / self._dof if self._dof else 0.0
        parts += prompts**2 / groups.dof if groups.dof > 0 else math.inf
        dof = (runs + prompts) ** 2 / parts if parts > 0 else groups.dof
        return max(math.sqrt(variance), 1 / n), dof


def choose(
    candidates: Sequence[Candidate],
    labels: Sequence[Hashable] | None = None,
    first_rung: Sequence[Candidate] = (),
) -> Choice:
    """Return the simplest setting within one standard error of the best.

    Settings are separable when one of them is better than the mean of all others by more than
    chance admits, at level `ALPHA` over all of them (Bonferroni). What is within one standard error
    of its difference to the best is not told from it, and of these the first is chosen.

    Args:
        candidates: the simplest first; those whose guards hold.
        labels: [n] cluster of each prompt; None when prompts are independent.
        first_rung: of halving, all settings where all were measured. Then settings are separable
            there or among those that were left, each at half the level: of settings that are left
            all may be equally good.

    Raises:
        UsageError: there is no candidate, or they were not measured at the same prompts.
    """
    contrasts = Contrasts(candidates, labels, first_rung)
    count, means = len(candidates), contrasts.means
    best = int(np.argmax(means))
    near = [
        at for at in range(count) if at == best or _is_near(contrasts, _difference(count, best, at))
    ]
    chosen = near[0]
    looks = [Contrasts(first_rung, labels), contrasts] if first_rung else [contrasts]
    is_separable = len(looks[0].means) == 1 or any(_tells(each, len(looks)) for each in looks)
    alone = np.eye(count)[chosen]
    error, dof = contrasts.error(alone)
    is_above = bool(means[chosen] > t_quantile(1 - ALPHA, dof) * error) if dof > 0 else False
    names = [candidates[at].name for at in near]
    name: str | None = candidates[chosen].name
    if not is_separable and not contrasts.has_seeds:
        name = None
        reason = "with one seed a setting, what a setting is worth is not told from a run's luck"
    elif not is_separable:
        name, reason = None, f"no setting stands out of the {len(looks[0].means)} beyond chance"
    elif means[chosen] <= 0:
        name, reason = None, f"{candidates[chosen].name} is no better than the base"
    elif count == 1:
        reason = "it is the only setting"
    elif len(near) == 1:
        reason = f"it is the best of {count}, and none is within one standard error of it"
    else:
        reason = (
            f"it is the simplest (first in sweep.yaml) of {len(near)} within one standard error "
            f"of the best, {candidates[best].name}"
        )
    if name is not None and not is_above:
        reason += "; that it is better than the base is not shown"
    return Choice(name, is_separable, candidates[best].name, tuple(names), is_above, reason)


def survivors(means: Sequence[float | None]) -> list[int]:
    """Return the places of the better half, in their order: what halving goes on with.

    Args:
        means: of all settings that are left; None for one that has failed. Of equal ones, the
            first, which is the simplest, goes on.
    """
    ranked = [at for at in range(len(means)) if means[at] is not None]
    ranked.sort(key=lambda at: -(means[at] or 0.0))
    return sorted(ranked[: max(1, len(means) // 2)])


def _difference(count: int, first: int, second: int) -> FloatArray:
    weights = np.zeros(count)
    weights[first], weights[second] = 1.0, -1.0
    return weights


def _is_near(contrasts: Contrasts, weights: FloatArray) -> bool:
    return bool(weights @ contrasts.means <= contrasts.error(weights)[0])


def _tells(contrasts: Contrasts, looks: int) -> bool:
    """Whether one of the settings stands out, at the level that is left for each look."""
    count = len(contrasts.means)
    tail = ALPHA / looks / count
    places = range(count) if contrasts.has_seeds and count > 1 else ()
    return any(_stands_out(contrasts, at, tail) for at in places)


def _stands_out(contrasts: Contrasts, at: int, tail: float) -> bool:
    """Whether a setting is better than the mean of all others, beyond chance."""
    count = len(contrasts.means)
    weights = np.full(count, -1 / (count - 1))
    weights[at] = 1.0
    error, dof = contrasts.error(weights)
    lead = float(weights @ contrasts.means)
    return dof > 0 and lead > t_quantile(1 - tail, dof) * error
