"""The metrics against plain numpy; parts and accumulation must not change them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from clairkit.losses import PairLogps, preference_loss
from clairkit.training.metrics import MetricMeans, TokenView, step_metrics

BETA = 0.5


@dataclass(frozen=True)
class Side:
    """One side of one pair, per token; empty when the pair lacks it."""

    logps: Any
    ref: Any
    edited: Any

    @property
    def ratio(self) -> Any:
        return self.logps - self.ref


Pairs = list[tuple[Side, Side]]


def make_side(rng: np.random.Generator, length: int, spread: float) -> Side:
    ref = -rng.exponential(1.5, length)
    return Side(ref + spread * rng.normal(size=length), ref, rng.random(length) < 0.4)


def make_pairs(seed: int, count: int, spread: float = 1.0) -> Pairs:
    """Pairs of which the third lacks its rejected side, the sixth its chosen one."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, (count, 2))
    lengths[2::8, 1] = 0
    lengths[5::8, 0] = 0
    return [(make_side(rng, a, spread), make_side(rng, b, spread)) for a, b in lengths]


def sums_of(pairs: Pairs) -> Any:
    """What the trainer does with one part."""
    sides = [chosen for chosen, _ in pairs] + [rejected for _, rejected in pairs]
    joined = (
        torch.tensor(np.concatenate([getattr(side, name) for side in sides]), dtype=kind)
        for name, kind in (("logps", torch.float32), ("ref", torch.float32), ("edited", torch.bool))
    )
    tokens = TokenView(*joined, lengths=[len(side.logps) for side in sides])
    logps, ref = (
        torch.stack([flat.sum() for flat in flats.split(list(tokens.lengths))]).chunk(2)
        for flats in (tokens.logps, tokens.ref_logps)
    )
    found = PairLogps(logps[0], logps[1], ref[0], ref[1])
    result = preference_loss(
        found.chosen, found.rejected, found.ref_chosen, found.ref_rejected, beta=BETA
    )
    return step_metrics(found, result, tokens)


def means_of(*parts: Pairs) -> dict[str, float]:
    means = MetricMeans()
    for part in parts:
        means.add(sums_of(part))
    return means.take()


def plain(pairs: Pairs) -> dict[str, float]:
    """Every metric by its definition, pair after pair."""
    both = [(c, r) for c, r in pairs if len(c.logps) and len(r.logps)]
    rewards = [(BETA * c.ratio.sum(), BETA * r.ratio.sum()) for c, r in both]
    found: dict[str, list[float]] = {
        "rewards/accuracies": [c > r for c, r in rewards],
        "rewards/margins": [c - r for c, r in rewards],
        "quadrants/chosen_up_rejected_down": [c > 0 > r for c, r in rewards],
        "quadrants/chosen_up_rejected_up": [c > 0 and r > 0 for c, r in rewards],
        "quadrants/chosen_down_rejected_down": [c < 0 and r < 0 for c, r in rewards],
        "quadrants/chosen_down_rejected_up": [c < 0 < r for c, r in rewards],
        # sigmoid(-margin) against 1/2 at step 0
        "saturation/margin": [1 / (1 + math.exp(c - r)) < 0.05 for c, r in rewards],
    }
    for name, index in (("chosen", 0), ("rejected", 1)):
        sides = [pair[index] for pair in pairs if len(pair[index].logps)]
        totals = [BETA * side.ratio.sum() for side in sides]
        slopes = [math.exp(-abs(total)) / (1 + math.exp(-abs(total))) ** 2 for total in totals]
        found |= {
            f"rewards/{name}": totals,
            f"logps/{name}": [side.logps.sum() for side in sides],
            f"below_reference/{name}": [total < 0 for total in totals],
            f"saturation/{name}": [slope < 0.025 for slope in slopes],
            f"lengths/{name}": [len(side.logps) for side in sides],
            f"lengths/{name}_edited": [pair[index].edited.sum() for pair in both],
            f"lengths/{name}_shared": [(~pair[index].edited).sum() for pair in both],
            f"logratio/{name}_end": [side.ratio[-1] for side in sides],
            f"logratio/{name}": [x for side in sides for x in side.ratio],
            f"logratio/{name}_edited": [x for p in both for x in p[index].ratio[p[index].edited]],
            f"logratio/{name}_shared": [x for p in both for x in p[index].ratio[~p[index].edited]],
        }
    found["kl/rejected"] = [math.exp(x) - 1 - x for x in found["logratio/rejected"]]
    return {name: float(np.mean(values)) for name, values in found.items() if values}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.3, 2.5])
def test_every_metric_is_its_definition(seed: int, spread: float) -> None:
    pairs = make_pairs(seed, 8, spread)
    assert means_of(pairs) == pytest.approx(plain(pairs), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("sizes", [[1] * 16, [5, 3, 8], [15, 1]])
def test_parts_and_accumulation_change_nothing(sizes: list[int]) -> None:
    pairs = make_pairs(7, 16)
    ends = np.cumsum(sizes)
    parts = [pairs[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    assert means_of(*parts) == pytest.approx(means_of(pairs), rel=1e-6, abs=1e-6)


def test_what_nothing_counted_for_is_absent() -> None:
    one_sided = [pair for pair in make_pairs(3, 24) if not len(pair[1].logps)]
    found = means_of(one_sided)
    assert found.keys() == plain(one_sided).keys()
    assert "rewards/chosen" in found
    assert (
        not {
            "rewards/margins",
            "rewards/rejected",
            "kl/rejected",
            "logratio/chosen_edited",
            "quadrants/chosen_up_rejected_down",
        }
        & found.keys()
    )
    assert all(math.isfinite(value) for value in found.values())
    assert MetricMeans().take() == {}


def test_sides_that_did_not_move_are_in_no_quadrant_more_than_in_another() -> None:
    still = [
        (Side(c.ref, c.ref, c.edited), Side(r.ref, r.ref, r.edited)) for c, r in make_pairs(1, 2)
    ]
    found = means_of(still)
    quadrants = {name: share for name, share in found.items() if name.startswith("quadrants/")}
    assert set(quadrants.values()) == {0.25}
    assert found["kl/rejected"] == found["below_reference/chosen"] == 0


def test_a_reward_that_is_not_finite_shows_only_where_it_counts() -> None:
    pairs = make_pairs(2, 8)
    chosen = pairs[0][0]
    pairs[0] = (Side(chosen.logps * math.nan, chosen.ref, chosen.edited), pairs[0][1])
    found = means_of(pairs)
    assert math.isnan(found["rewards/chosen"])
    assert math.isfinite(found["rewards/rejected"])
    assert math.isfinite(found["kl/rejected"])


def test_the_kl_estimate_is_unbiased_on_samples_of_the_reference() -> None:
    """10^5 tokens sampled from a categorical, against the exact KL; one pair a token."""
    rng = np.random.default_rng(0)
    reference, policy = rng.dirichlet(np.full(20, 4.0)), rng.dirichlet(np.ones(20))
    policy = 0.7 * reference + 0.3 * policy
    exact = float((reference * np.log(reference / policy)).sum())
    draws = rng.choice(20, 100_000, p=reference)
    rejected = Side(np.log(policy[draws]), np.log(reference[draws]), draws < 10)
    pairs = [(make_side(rng, 3, 1.0), rejected)]
    found = means_of(pairs)
    assert found["kl/rejected"] == pytest.approx(exact, rel=0.03)


def test_one_token_from_elsewhere_does_not_swamp_the_kl() -> None:
    rejected = Side(np.array([-0.1]), np.array([-200.0]), np.array([True]))
    pairs = [(make_side(np.random.default_rng(0), 3, 1.0), rejected)]
    assert means_of(pairs)["kl/rejected"] == pytest.approx(math.exp(10) - 11)


def test_the_sum_over_processes_is_that_of_all_their_pairs() -> None:
    pairs = make_pairs(11, 16)
    other = sums_of(pairs[8:])
    means = MetricMeans()
    means.add(sums_of(pairs[:8]))
    found = means.take(reduce=lambda sums: sums + other.sums)
    assert found == pytest.approx(means_of(pairs), rel=1e-6, abs=1e-6)
    assert means.take() == {}
