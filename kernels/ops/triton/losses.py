"""Compute the preference losses on the device: each a pair's loss and its two slopes.

The same functions as `clairkit.losses`, by the same names, and tested against them: there each
carries its source. Slopes are d loss / d (first log-ratio) and d loss / d (second log-ratio).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl


class Pairs(NamedTuple):
    """What a loss reads of B pairs, in blocks of P >= B lanes."""

    chosen_ratio: Any  # [P] float32, log-prob less that of the reference, nats
    rejected_ratio: Any  # [P]
    chosen_logps: Any  # [P] under the policy alone
    chosen_lengths: Any  # [P] float32 tokens, at least 1
    rejected_lengths: Any  # [P]
    mean_chosen_length: Any  # [] over the B pairs


class Options(NamedTuple):
    """The numbers of a loss, each a float32 scalar."""

    beta: Any
    label_smoothing: Any
    discopop_tau: Any


@triton.jit
def _sigmoid(x):
    tail = tl.exp(-tl.abs(x))  # in (0, 1]: nothing overflows
    return tl.where(x < 0, tail, 1.0) / (1.0 + tail)


@triton.jit
def _log1p(x):
    """log(1 + x) of -1/2 <= x <= 1, as 2 artanh(x / (2 + x)): small values keep their digits."""
    ratio = x / (2.0 + x)
    square = ratio * ratio  # at most 1/9, so that the first term left out is below 2e-8
    series = 1.0 / 11 + square / 13
    series = 1.0 / 9 + square * series
    series = 1.0 / 7 + square * series
    series = 1.0 / 5 + square * series
    series = 1.0 / 3 + square * series
    return 2.0 * ratio * (1.0 + square * series)


@triton.jit
def _log_sigmoid(x):
    return tl.where(x < 0, x, 0.0) - _log1p(tl.exp(-tl.abs(x)))


@triton.jit
def _bell(x):
    """The slope of the sigmoid; 1 - sigmoid(x) would lose its digits where x is large."""
    return _sigmoid(x) * _sigmoid(-x)


@triton.jit
def _margin(pairs, options):
    return options.beta * (pairs.chosen_ratio - pairs.rejected_ratio)


@triton.jit
def _mean_delta(pairs):
    return pairs.chosen_ratio / pairs.chosen_lengths - pairs.rejected_ratio / pairs.rejected_lengths


@triton.jit
def apo_zero(pairs, options):
    chosen = options.beta * pairs.chosen_ratio
    rejected = options.beta * pairs.rejected_ratio
    loss = _sigmoid(-chosen) + _sigmoid(rejected)
    return loss, -options.beta * _bell(chosen), options.beta * _bell(rejected)


@triton.jit
def apo_zero_unpaired(pairs, options):
    loss, chosen_slope, rejected_slope = apo_zero(pairs, options)
    return loss * 0.5, chosen_slope * 0.5, rejected_slope * 0.5


@triton.jit
def apo_down(pairs, options):
    chosen = options.beta * pairs.chosen_ratio
    margin = _margin(pairs, options)
    loss = _sigmoid(chosen) + _sigmoid(-margin)
    slope = options.beta * _bell(margin)
    return loss, options.beta * _bell(chosen) - slope, slope


@triton.jit
def sigmoid(pairs, options):
    margin = _margin(pairs, options)
    slope = options.beta * _sigmoid(-margin)
    return -_log_sigmoid(margin), -slope, slope


@triton.jit
def sigmoid_norm(pairs, options):
    margin = options.beta * _mean_delta(pairs)
    slope = options.beta * _sigmoid(-margin)
    loss = -_log_sigmoid(margin)
    return loss, -slope / pairs.chosen_lengths, slope / pairs.rejected_lengths


@triton.jit
def hinge(pairs, options):
    short = 1.0 - _margin(pairs, options)
    reached = short <= 0  # false for NaN, which stays one
    slope = tl.where(reached, 0.0, options.beta)
    return tl.where(reached, 0.0, short), -slope, slope


@triton.jit
def ipo(pairs, options):
    error = _mean_delta(pairs) - 0.5 / options.beta
    slope = 2.0 * error
    return error * error, slope / pairs.chosen_lengths, -slope / pairs.rejected_lengths


@triton.jit
def robust(pairs, options):
    margin, flipped = _margin(pairs, options), options.label_smoothing
    scale = 1.0 / (1.0 - 2.0 * flipped)
    loss = flipped * _log_sigmoid(-margin) - (1.0 - flipped) * _log_sigmoid(margin)
    slope = (1.0 - flipped) * _sigmoid(-margin) + flipped * _sigmoid(margin)
    slope = options.beta * scale * slope
    return scale * loss, -slope, slope


@triton.jit
def exo_pair(pairs, options):
    margin = _margin(pairs, options)
    log_win, log_lose = _log_sigmoid(margin), _log_sigmoid(-margin)
    log_label = _log1p(-options.label_smoothing)
    log_flipped = tl.log(options.label_smoothing)
    loss = _sigmoid(margin) * (log_win - log_label) + _sigmoid(-margin) * (log_lose - log_flipped)
    slope = options.beta * _bell(margin) * (margin - (log_label - log_flipped))
    return loss, slope, -slope


@triton.jit
def nca_pair(pairs, options):
    chosen = options.beta * pairs.chosen_ratio
    rejected = options.beta * pairs.rejected_ratio
    loss = -_log_sigmoid(chosen) - 0.5 * (_log_sigmoid(-chosen) + _log_sigmoid(-rejected))
    chosen_slope = options.beta * (0.5 * _sigmoid(chosen) - _sigmoid(-chosen))
    return loss, chosen_slope, options.beta * 0.5 * _sigmoid(rejected)


@triton.jit
def bco_pair(pairs, options):
    chosen = options.beta * pairs.chosen_ratio
    rejected = options.beta * pairs.rejected_ratio
    loss = -_log_sigmoid(chosen) - _log_sigmoid(-rejected)
    return loss, -options.beta * _sigmoid(-chosen), options.beta * _sigmoid(rejected)


@triton.jit
def sppo_hard(pairs, options):
    goal = 0.5 / options.beta
    chosen, rejected = pairs.chosen_ratio - goal, pairs.rejected_ratio + goal
    return chosen * chosen + rejected * rejected, 2.0 * chosen, 2.0 * rejected


@triton.jit
def smoothed(pairs, options):
    """DPO with smoothed labels: what aot and aot_unpaired apply to sorted values."""
    margin, flipped = _margin(pairs, options), options.label_smoothing
    loss = -(1.0 - flipped) * _log_sigmoid(margin) - flipped * _log_sigmoid(-margin)
    slope = options.beta * (flipped * _sigmoid(margin) - (1.0 - flipped) * _sigmoid(-margin))
    return loss, slope, -slope


@triton.jit
def discopop(pairs, options):
    margin = _margin(pairs, options)
    mix = margin / options.discopop_tau
    logistic, exponential = -_log_sigmoid(margin), tl.exp(_log_sigmoid(mix) - margin)
    loss = logistic * _sigmoid(-mix) + exponential
    slope = -_sigmoid(-margin) * _sigmoid(-mix) - logistic * _bell(mix) / options.discopop_tau
    slope += exponential * (_sigmoid(-mix) / options.discopop_tau - 1.0)
    return loss, options.beta * slope, -options.beta * slope


@triton.jit
def sft(pairs, options):
    slope = -1.0 / pairs.mean_chosen_length
    flat = tl.zeros_like(pairs.chosen_logps)
    return slope * pairs.chosen_logps, flat + slope, flat
