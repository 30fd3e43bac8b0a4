"""Reduce log-probs in one launch: sums, loss, rewards and the gradient of every sum.

Shapes: B pairs in P = 2^k lanes; N tokens of 2B sequences, read T at a time. One program does it
all, since the mean over the batch and the sorting losses need every pair at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl

from clairkit.kernels.triton import losses as of_pairs
from clairkit.kernels.triton.losses import Options, Pairs

# The one program reads P x T = 4096 tokens at a time, so that 16 loads of each thread wait for
# memory together. 8 warps may use 255 registers a thread; with 16, some batch sizes spill on sm_80.
TILE = 4096
NUM_WARPS = 8
NUM_STAGES = 1  # nothing to pipeline: the only loop has one load and one addition
MAX_PAIRS = 512  # 8 tokens of a sequence at a time; above, aot spills on sm_80

SPREAD_TOKENS = 1024  # a sequence is written by one program of 4 warps, 8 tokens a thread
SPREAD_WARPS = 4


@triton.jit
def _sum_sequences(
    token_logps,  # [N] float32
    offsets,  # [P + 1], of these sequences
    tokens,  # N
    lane,  # [P]
    valid,  # [P] bool
    TOKENS: tl.constexpr,  # T
):
    """Return the summed log-probs [P] float32 and the lengths [P] of one side."""
    # kept inside [0, N]: offsets are never seen by the host
    first = tl.maximum(tl.load(offsets + lane, mask=valid, other=0).to(tl.int64), 0)
    last = tl.minimum(tl.load(offsets + lane + 1, mask=valid, other=0).to(tl.int64), tokens)
    lengths = tl.maximum(last - first, 0).to(tl.int32)
    column = tl.arange(0, TOKENS)
    pointers = token_logps + first[:, None] + column[None, :]
    totals = tl.zeros((lane.shape[0], TOKENS), tl.float64)
    for start in range(0, tl.max(lengths, axis=0), TOKENS):
        inside = column[None, :] < (lengths - start)[:, None]
        totals += tl.load(pointers + start, mask=inside, other=0.0)
    return tl.sum(totals, axis=1).to(tl.float32), lengths


@triton.jit
def _sort(values, lane, valid):
    """Return float32 values [P] in ascending order, NaN last, and the lanes they come from."""
    bits = values.to(tl.int32, bitcast=True)
    keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # integers in the order of the floats
    keys = tl.where(values != values, 0x7FFFFFFF, keys)
    # lanes in the low half break ties, and say where a value came from
    packed = (keys.to(tl.int64) << 32) | lane.to(tl.int64)
    packed = tl.sort(tl.where(valid, packed, 0x7FFFFFFFFFFFFFFF))
    keys = (packed >> 32).to(tl.int32)
    bits = keys ^ ((keys >> 31) & 0x7FFFFFFF)
    return bits.to(tl.float32, bitcast=True), packed.to(tl.int32)


# Couplings: (log-probs of both sides, of the reference, lanes) -> the two values that a loss
# compares in each lane, and the pairs that the slopes of these two belong to.


@triton.jit
def as_given(chosen, rejected, ref_chosen, ref_rejected, lane, valid):
    """Every chosen side with its own rejected side."""
    return chosen - ref_chosen, rejected - ref_rejected, lane, lane


@triton.jit
def by_margin(chosen, rejected, ref_chosen, ref_rejected, lane, valid):
    """The sorted margins of the policy with those of the reference.

    The slopes are opposite, so that of the reference's margin is that of the rejected side.
    """
    policy, order = _sort(chosen - rejected, lane, valid)
    reference, _ = _sort(ref_chosen - ref_rejected, lane, valid)
    return policy, reference, order, order


@triton.jit
def by_ratio(chosen, rejected, ref_chosen, ref_rejected, lane, valid):
    """The sorted log-ratios of the chosen sides with those of the rejected ones."""
    first, first_order = _sort(chosen - ref_chosen, lane, valid)
    second, second_order = _sort(rejected - ref_rejected, lane, valid)
    return first, second, first_order, second_order


@triton.jit(do_not_specialize=["tokens", "pairs"])  # they change from batch to batch
def preference_kernel(
    token_logps,  # [N] float32
    offsets,  # [2B + 1] int32 or int64
    reference,  # [2B] float32
    given_lengths,  # [2B] of any dtype, or None: those of offsets
    loss,  # [1] float32, out
    losses,  # [B] float32, out
    rewards,  # [2B] float32, out
    sums,  # [2B] float32, out
    coefficients,  # [2B] float32, out: d loss / d sums
    tokens,  # N
    pairs,  # B
    beta,
    label_smoothing,
    discopop_tau,
    LOSS: tl.constexpr,  # a function of losses.py
    COUPLING: tl.constexpr,  # a function above
    LANES: tl.constexpr,  # P
    TOKENS: tl.constexpr,  # T
):
    lane = tl.arange(0, LANES)
    valid = lane < pairs
    chosen, chosen_lengths = _sum_sequences(token_logps, offsets, tokens, lane, valid, TOKENS)
    rejected, rejected_lengths = _sum_sequences(
        token_logps, offsets + pairs, tokens, lane, valid, TOKENS
    )
    tl.store(sums + lane, chosen, mask=valid)
    tl.store(sums + pairs + lane, rejected, mask=valid)
    ref_chosen = tl.load(reference + lane, mask=valid, other=0.0)
    ref_rejected = tl.load(reference + pairs + lane, mask=valid, other=0.0)
    tl.store(rewards + lane, beta * (chosen - ref_chosen), mask=valid)
    tl.store(rewards + pairs + lane, beta * (rejected - ref_rejected), mask=valid)

    if given_lengths is not None:
        chosen_lengths = tl.load(given_lengths + lane, mask=valid, other=0)
        rejected_lengths = tl.load(given_lengths + pairs + lane, mask=valid, other=0)
    chosen_lengths = tl.maximum(chosen_lengths.to(tl.float32), 1.0)
    rejected_lengths = tl.maximum(rejected_lengths.to(tl.float32), 1.0)
    mean_chosen_length = tl.sum(tl.where(valid, chosen_lengths, 0.0), axis=0) / pairs

    first, second, chosen_lane, rejected_lane = COUPLING(
        chosen, rejected, ref_chosen, ref_rejected, lane, valid
    )
    compared = Pairs(first, second, chosen, chosen_lengths, rejected_lengths, mean_chosen_length)
    each, chosen_slope, rejected_slope = LOSS(
        compared, Options(beta, label_smoothing, discopop_tau)
    )
    tl.store(losses + lane, each, mask=valid)
    tl.store(loss, tl.sum(tl.where(valid, each, 0.0), axis=0) / pairs)
    tl.store(coefficients + chosen_lane, chosen_slope / pairs, mask=valid)
    tl.store(coefficients + pairs + rejected_lane, rejected_slope / pairs, mask=valid)


@triton.jit(do_not_specialize=["tokens"])
def spread_kernel(
    coefficients,  # [2B] float32
    offsets,  # [2B + 1] int32 or int64
    loss_gradient,  # [1] float32
    token_gradients,  # [N] float32, out; tokens of no sequence are left alone
    tokens,  # N
    TOKENS: tl.constexpr,
):
    """Give every token of sequence s its share, loss_gradient * coefficients[s]; grid (2B,)."""
    sequence = tl.program_id(0)
    first = tl.maximum(tl.load(offsets + sequence).to(tl.int64), 0)
    last = tl.minimum(tl.load(offsets + sequence + 1).to(tl.int64), tokens)
    value = tl.load(loss_gradient) * tl.load(coefficients + sequence)
    column = tl.arange(0, TOKENS)
    for start in range(first, last, TOKENS):
        position = start + column
        values = tl.zeros((TOKENS,), tl.float32) + value
        tl.store(token_gradients + position, values, mask=position < last)


@dataclass(frozen=True)
class LossKernel:
    """A loss on the device, how it couples the two sides, and what it reads beside beta."""

    function: Any
    coupling: Any = as_given
    options: tuple[str, ...] = ()


_SMOOTHED = ("label_smoothing",)

LOSS_KERNELS: dict[str, LossKernel] = {
    "apo_zero": LossKernel(of_pairs.apo_zero),
    "apo_down": LossKernel(of_pairs.apo_down),
    "sigmoid": LossKernel(of_pairs.sigmoid),
    "hinge": LossKernel(of_pairs.hinge),
    "ipo": LossKernel(of_pairs.ipo),
    "robust": LossKernel(of_pairs.robust, options=_SMOOTHED),
    "exo_pair": LossKernel(of_pairs.exo_pair, options=_SMOOTHED),
    "nca_pair": LossKernel(of_pairs.nca_pair),
    "bco_pair": LossKernel(of_pairs.bco_pair),
    "sppo_hard": LossKernel(of_pairs.sppo_hard),
    "aot": LossKernel(of_pairs.smoothed, by_margin, _SMOOTHED),
    "aot_unpaired": LossKernel(of_pairs.smoothed, by_ratio, _SMOOTHED),
    "discopop": LossKernel(of_pairs.discopop, options=("discopop_tau",)),
    "sft": LossKernel(of_pairs.sft),
    "sigmoid_norm": LossKernel(of_pairs.sigmoid_norm),
    "apo_zero_unpaired": LossKernel(of_pairs.apo_zero_unpaired),
}


def preference_constexprs(loss: str, pairs: int) -> dict[str, object]:
    """Return the compile-time arguments of `preference_kernel` for a batch of `pairs` pairs."""
    entry, lanes = LOSS_KERNELS[loss], triton.next_power_of_2(pairs)
    return {
        "LOSS": entry.function,
        "COUPLING": entry.coupling,
        "LANES": lanes,
        "TOKENS": TILE // lanes,
    }
