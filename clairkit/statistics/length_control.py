"""Win rate at equal length: what is left of a win when longer answers are not preferred for it.

The model is logit P(win) = theta + phi * tanh(d / sd), with d the length difference (candidate
minus baseline) and sd its standard deviation, fitted to the prompts' scores (ties are 1/2) and read
at d = 0 (Dubois et al. 2024, "Length-Controlled AlpacaEval", without its terms for the prompt).

Shapes: n prompts, G clusters, b draws of a block.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clairkit.errors import UsageError
from clairkit.intervals import Interval
from clairkit.statistics.clusters import as_values, cluster
from clairkit.statistics.estimates import (
    Estimate,
    FloatArray,
    Note,
    Resampling,
    effective_trials,
    is_near_the_edge,
    studentized_interval,
)
from clairkit.statistics.length_model import LengthFit, LengthModel, logistic
from clairkit.statistics.win_rate import mean_share, near_the_edge

_LENGTH_DECIDES = 4.0
"""Above it, the longest answers win 98 of 100 and phi is bounded by its prior, not by the data."""
_METHOD = "studentized bootstrap over clusters, the length model refitted in each draw"


@dataclass(frozen=True)
class LengthControlled:
    """The win rate at equal length, and how much length counted.

    Attributes:
        estimate: P(win) at a length difference of 0, in [0, 1].
        length_effect: phi, in log-odds from equal length to much longer; 0 when length does not
            matter. Its interval is None near 0 and 1, and where length decides nearly alone.
        scale: sd of the length differences, in their unit.
        plain: the win rate without length control, from the same prompts.
    """

    estimate: Estimate
    length_effect: Estimate
    scale: float
    plain: Estimate


def length_controlled_win_rate(
    scores: Sequence[float] | FloatArray,
    length_differences: Sequence[float] | FloatArray,
    labels: Sequence[Hashable] | None = None,
    resampling: Resampling | None = None,
    *,
    length_effect_sd: float = 2.5,
) -> LengthControlled:
    """Return the win rate at equal length.

    A normal prior with sd 2.5 on phi alone keeps the fit defined when length separates wins from
    losses (each longer answer won); the data of 60 prompts outweigh it by about forty to one.
    Theta has no prior: with wins only, the estimate is 1. Near 0 and 1 the interval is the score
    interval, as for the plain win rate. The interval comes from refitting sd, theta and phi in each
    draw of clusters.

    Args:
        scores: [n] of each prompt, in [0, 1]: 1 a win, 1/2 a tie.
        length_differences: [n] candidate's length minus baseline's, in any unit.
        labels: [n] cluster of each prompt; None when prompts are independent.
        resampling: level, draws and seed.
        length_effect_sd: of the prior on phi; infinite for none.

    Raises:
        UsageError: lengths of the arguments differ, or a value is out of its range.
    """
    resampling = resampling or Resampling()
    values = as_values(scores, "a win rate", is_share=True)
    lengths = as_values(length_differences, "a length difference", is_share=False)
    if len(values) != len(lengths):
        problem = "there must be one length difference a prompt"
        raise UsageError(problem, received=f"{len(lengths)} differences, {len(values)} prompts")
    plain = mean_share(values, labels, resampling)
    scale = float(lengths.std())
    if scale <= 1e-9 * float(np.abs(lengths).max()):
        scale = 0.0
    if scale == 0 or plain.is_too_few:
        return _uncontrolled(plain, scale)
    model = LengthModel(values, lengths, cluster(labels, len(values)), 1 / length_effect_sd**2)
    fit = model.fit()
    return _controlled(model, fit, plain, resampling)


def _uncontrolled(plain: Estimate, scale: float) -> LengthControlled:
    """Return the plain win rate where length can't be controlled for, and say so."""
    estimate = plain if scale else replace(plain, notes=(*plain.notes, Note.LENGTH_IS_CONSTANT))
    effect = replace(plain, estimate=0.0, interval=None, standard_error=0.0, notes=(Note.TOO_FEW,))
    return LengthControlled(estimate, effect, scale, plain)


def _controlled(
    model: LengthModel, fit: LengthFit, plain: Estimate, resampling: Resampling
) -> LengthControlled:
    theta, phi = float(fit.theta[0]), float(fit.phi[0])
    share = float(logistic(fit.theta)[0])
    if plain.estimate in (0, 1):
        share = plain.estimate
    slope = share * (1 - share)
    estimate = replace(
        plain,
        estimate=share,
        interval=None,
        standard_error=slope * float(fit.errors[0, 0]),
        method=_METHOD,
        notes=(),
    )
    effect = replace(
        estimate,
        estimate=phi,
        standard_error=float(fit.errors[0, 1]),
        notes=(Note.LENGTH_DECIDES,) if abs(phi) >= _LENGTH_DECIDES else (),
    )
    scale, effective = model.scale, model.groups.effective
    if not any(is_near_the_edge(each, effective) for each in (share, plain.estimate)):
        draws = model.refit(resampling)
        level = resampling.level
        if abs(phi) < _LENGTH_DECIDES:
            slopes = studentized_interval(
                phi, float(fit.errors[0, 1]), (draws.phi, draws.errors[:, 1]), level
            )
            effect = replace(effect, interval=slopes)
        logits = studentized_interval(
            theta, float(fit.errors[0, 0]), (draws.theta, draws.errors[:, 0]), level
        )
        if logits is not None:
            ends = logistic(np.array([logits.low, logits.high]))
            estimate = replace(estimate, interval=Interval(float(ends[0]), float(ends[1])))
            return LengthControlled(estimate, effect, scale, plain)
    # What is fitted near 0 and 1 looks surer than it is; it is worth no more than the plain share.
    most = effective_trials(plain.estimate, plain.standard_error, effective)
    return LengthControlled(near_the_edge(estimate, model.groups, most), effect, scale, plain)
