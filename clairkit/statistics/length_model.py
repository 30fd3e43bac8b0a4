"""Fit the logistic model of wins by length, to many bootstrap draws at once.

Shapes: n prompts, G clusters, b draws of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clairkit.statistics.clusters import Clusters, draw_counts
from clairkit.statistics.estimates import FloatArray, Resampling

_MOST_STEPS = 60
_LONGEST_STEP = 2.0
_BOUND = 20.0
"""Log-odds are kept within this: in a draw of wins only, theta would run to infinity."""


@dataclass(frozen=True)
class LengthFit:
    """Fits to b draws.

    Attributes:
        theta: [b] log-odds of a win at equal length.
        phi: [b] the length effect.
        errors: [b, 2] clustered standard errors of theta and phi.
    """

    theta: FloatArray
    phi: FloatArray
    errors: FloatArray


class LengthModel:
    """logit P(win) = theta + phi * tanh(d / sd) for one set of prompts.

    Args:
        scores: [n] in [0, 1].
        lengths: [n] length differences d.
        groups: clusters of the prompts.
        precision: of the normal prior on phi; 0 for none.
    """

    def __init__(
        self, scores: FloatArray, lengths: FloatArray, groups: Clusters, precision: float
    ) -> None:
        order = np.argsort(groups.codes, kind="stable")
        self.groups = Clusters(groups.codes[order], groups.count)
        self.scale = float(lengths.std())
        self._scores = scores[order]
        self._lengths = lengths[order]
        self._precision = precision
        # Rows of one cluster stand beside each other, so that reduceat sums them.
        self._starts = np.searchsorted(self.groups.codes, np.arange(groups.count))

    def refit(self, resampling: Resampling) -> LengthFit:
        """Fit to each bootstrap draw of clusters; sd is computed anew in each, too."""
        blocks = draw_counts(
            self.groups.count, resampling.draws, resampling.seed, width=len(self._scores)
        )
        fits = [self.fit(counts) for counts in blocks]
        return LengthFit(
            theta=np.concatenate([fit.theta for fit in fits]),
            phi=np.concatenate([fit.phi for fit in fits]),
            errors=np.concatenate([fit.errors for fit in fits]),
        )

    def fit(self, counts: FloatArray | None = None) -> LengthFit:
        """Fit by Newton's method to draws that hold each cluster `counts` [b, G] times.

        Without counts, to the data themselves.
        """
        if counts is None:
            counts = np.ones((1, self.groups.count))
        weights = counts[:, self.groups.codes]  # [b, n]
        x = np.tanh(self._lengths / self._scales(weights)[:, None])  # [b, n]
        at = np.zeros((2, len(counts)))
        for _ in range(_MOST_STEPS):
            p = logistic(at[0][:, None] + at[1][:, None] * x)
            gradient, hessian = self._derivatives(weights, x, p, at[1])
            after = np.clip(at + _step(gradient, hessian), -_BOUND, _BOUND)
            moved = float(np.abs(after - at).max())
            at = after
            if moved < 1e-10:
                break
        p = logistic(at[0][:, None] + at[1][:, None] * x)
        return LengthFit(at[0], at[1], self._errors(counts, x, p, weights, at[1]))

    def _scales(self, weights: FloatArray) -> FloatArray:
        """Return the sd of the length differences in each draw, [b]."""
        n = weights.sum(1)
        means = weights @ self._lengths / n
        spread = weights @ self._lengths**2 / n - means**2
        scales = np.sqrt(np.maximum(spread, 0.0))
        return np.where(scales > 1e-6 * self.scale, scales, self.scale)

    def _derivatives(
        self, weights: FloatArray, x: FloatArray, p: FloatArray, phi: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradient [2, b] and the negative Hessian's three entries [3, b]."""
        residuals = weights * (self._scores - p)
        curvature = weights * p * (1 - p)
        sloped = curvature * x
        gradient = np.stack(
            [residuals.sum(1), np.einsum("bn,bn->b", residuals, x) - self._precision * phi]
        )
        hessian = np.stack(
            [
                curvature.sum(1),
                sloped.sum(1),
                np.einsum("bn,bn->b", sloped, x) + self._precision,
            ]
        )
        return gradient, hessian

    def _errors(
        self, counts: FloatArray, x: FloatArray, p: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Return the sandwich standard errors of theta and phi by cluster, [b, 2]."""
        _, (aa, ab, bb) = self._derivatives(weights, x, p, phi)
        residuals = self._scores - p
        by_cluster = np.stack(  # [2, b, G] the score of each cluster, once
            [
                np.add.reduceat(residuals, self._starts, axis=1),
                np.add.reduceat(residuals * x, self._starts, axis=1),
            ]
        )
        meat = np.einsum("bg,ibg,jbg->bij", counts, by_cluster, by_cluster, optimize=True)
        determinant = np.maximum(aa * bb - ab**2, 1e-300)
        inverse = np.stack([np.stack([bb, -ab], -1), np.stack([-ab, aa], -1)], -2)
        inverse = inverse / determinant[:, None, None]
        covariance = inverse @ meat @ inverse
        diagonal = np.stack([covariance[:, 0, 0], covariance[:, 1, 1]], -1)
        return np.asarray(np.sqrt(np.maximum(diagonal, 0.0)))


def logistic(logits: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-logits)); the logits are bounded, so that nothing overflows."""
    return 1 / (1 + np.exp(-logits))


def _step(gradient: FloatArray, hessian: FloatArray) -> FloatArray:
    """Return Newton's step [2, b], no longer than what the quadratic can be trusted for."""
    aa, ab, bb = hessian
    determinant = np.maximum(aa * bb - ab**2, 1e-300)
    step = np.stack(
        [
            (bb * gradient[0] - ab * gradient[1]) / determinant,
            (aa * gradient[1] - ab * gradient[0]) / determinant,
        ]
    )
    return np.asarray(np.clip(step, -_LONGEST_STEP, _LONGEST_STEP))
