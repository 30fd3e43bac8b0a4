"""Keep rows together that belong together: sums, sandwich variance, bootstrap by cluster.

A cluster is a template, a customer or a document; the prompt itself where none is named. Rows of
one cluster are never counted as independent of each other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clairkit.errors import UsageError
from clairkit.statistics.estimates import FloatArray

_BLOCK = 1_000_000
"""Numbers that one block of draws holds at most, so that memory stays below 100 MB."""


@dataclass(frozen=True)
class Clusters:
    """Which rows belong together.

    Attributes:
        codes: [n] the cluster of each row, from 0 to `count` - 1.
        count: G, how many clusters there are.
    """

    codes: NDArray[np.intp]
    count: int

    @property
    def sizes(self) -> FloatArray:
        """Return the rows of each cluster, [G]."""
        return np.bincount(self.codes, minlength=self.count).astype(np.float64)

    @property
    def effective(self) -> float:
        """Return the number of clusters of equal size that would say as much: n^2 / sum(size^2).

        One customer with half of all rows leaves about four, however many others there are
        (Carter, Schnepel and Steigerwald 2017).
        """
        sizes = self.sizes
        return float(sizes.sum() ** 2 / (sizes**2).sum())

    @property
    def dof(self) -> float:
        """Return the degrees of freedom of a variance between clusters."""
        return self.effective - 1

    @property
    def correction(self) -> float:
        """Return what makes a sandwich variance of few clusters unbiased: G / (G - 1)."""
        return self.effective / self.dof if self.dof > 0 else 1.0

    def totals(self, values: FloatArray) -> FloatArray:
        """Return the sum of `values` [n] in each cluster, [G]."""
        totals = np.bincount(self.codes, weights=values, minlength=self.count)
        return totals.astype(np.float64)  # of no rows at all, bincount makes integers


def cluster(labels: Sequence[Hashable] | None, n: int) -> Clusters:
    """Return the clusters of n rows.

    Args:
        labels: [n] what each row belongs to; None when each stands for itself.
        n: rows, at least one.

    Raises:
        UsageError: there is no row, or not one label a row.
    """
    if n < 1:
        raise UsageError("a statistic needs at least one row", received=n)
    if labels is None:
        return Clusters(np.arange(n), n)
    if len(labels) != n:
        problem = "there must be one cluster a row"
        raise UsageError(problem, received=f"{len(labels)} clusters, {n} rows")
    numbers: dict[Hashable, int] = {}
    codes = [numbers.setdefault(label, len(numbers)) for label in labels]
    return Clusters(np.array(codes, dtype=np.intp), len(numbers))


def sandwich_error(influences: FloatArray, clusters: Clusters) -> float:
    """Return sqrt(sum over clusters of (sum of influences in it)^2), without small-sample factor.

    Args:
        influences: [n] what each row adds to the error of the estimate; for a mean,
            (value - mean) / n.
        clusters: of the rows.
    """
    return float(np.sqrt((clusters.totals(influences) ** 2).sum()))


def draw_counts(
    count: int, draws: int, seed: int, width: int | None = None
) -> Iterator[FloatArray]:
    """Yield how often each of `count` clusters is drawn, in blocks of draws: [b, count] each.

    Each draw takes `count` clusters with replacement.

    Args:
        count: G.
        draws: B, over all blocks.
        seed: of the drawing.
        width: numbers a draw that the caller holds at once, where more than `count`.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(count, width or 0))
    for start in range(0, draws, rows):
        block = min(rows, draws - start)
        drawn = generator.integers(count, size=(block, count))
        drawn += count * np.arange(block)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=block * count)
        yield counts.reshape(block, count).astype(np.float64)


def as_values(values: Sequence[float] | FloatArray, name: str, *, is_share: bool) -> FloatArray:
    """Return values [n] as an array.

    Raises:
        UsageError: there is none, or one is not finite, or is outside [0, 1] though a share.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise UsageError(f"{name} needs at least one value", received=f"shape {array.shape}")
    wrong = ~np.isfinite(array)
    if is_share:
        wrong |= (array < 0) | (array > 1)
    if wrong.any():
        where = int(np.flatnonzero(wrong)[0])
        problem = f"{name} must be {'between 0 and 1' if is_share else 'finite numbers'}"
        raise UsageError(problem, received=f"{array[where]} in row {where}")
    return array
