"""KPIs, their joint utility, and when it pays."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from clairkit.errors import UsageError
from clairkit.intervals import Interval
from clairkit.statistics.estimates import Estimate, Note, Resampling
from clairkit.statistics.utility import Kpi, break_even, kpi_change, utility

N = 200
PROMPTS = [*range(N), *range(N)]
ARM = [False] * N + [True] * N


def minutes(seed: int = 0, **changes: object) -> Kpi:
    """Minutes of rework, less is better; the candidate saves about three of thirty."""
    generator = np.random.default_rng(seed)
    baseline = generator.gamma(9, 30 / 9, size=N)
    values = [*baseline, *(baseline - 3 + generator.normal(0, 4, size=N))]
    kpi = Kpi("rework", "minutes", False, 2.0, 1.0, values, ARM, PROMPTS)
    return replace(kpi, **changes)  # type: ignore[arg-type]  # fields by name


def closed(seed: int = 1) -> Kpi:
    generator = np.random.default_rng(seed)
    values = [*(generator.random(N) < 0.6), *(generator.random(N) < 0.7)]
    return Kpi("closed", "share", True, 0.05, 0.5, np.array(values, float), ARM, PROMPTS)


def test_a_change_in_units_and_in_mids() -> None:
    kpi = minutes()
    values = np.asarray(kpi.values)
    oracle = stats.ttest_rel(values[N:], values[:N])
    found = kpi_change(kpi)
    low, high = oracle.confidence_interval(0.95)
    assert found.change.estimate == pytest.approx(values[N:].mean() - values[:N].mean())
    assert found.change.interval == Interval(pytest.approx(low), pytest.approx(high))  # type: ignore[arg-type]  # approx
    # Fewer minutes are better, and two of them are one MID.
    assert found.mids.estimate == pytest.approx(-found.change.estimate / 2)
    assert found.mids.interval == Interval(pytest.approx(-high / 2), pytest.approx(-low / 2))  # type: ignore[arg-type]  # approx


def test_utility_is_the_weighted_sum() -> None:
    kpis = [minutes(), closed()]
    found = utility(kpis)
    mids = [each.mids.estimate for each in found.changes]
    assert found.estimate.estimate == pytest.approx(mids[0] + 0.5 * mids[1])
    assert found.estimate.interval is not None
    assert found.estimate.estimate in found.estimate.interval
    # Its standard error by hand, from each prompt's own utility.
    rework, share = (np.asarray(kpi.values) for kpi in kpis)
    own = -(rework[N:] - rework[:N]) / 2 + 0.5 * (share[N:] - share[:N]) / 0.05
    assert found.estimate.standard_error == pytest.approx(own.std() / N**0.5)
    low, high = stats.ttest_1samp(own, 0).confidence_interval(0.95)
    assert found.estimate.interval.low == pytest.approx(low, rel=0.05)
    assert found.estimate.interval.high == pytest.approx(high, rel=0.05)


def test_kpis_that_move_against_each_other_are_resampled_together() -> None:
    """The second is the first with its sign turned: their sum has no spread."""
    kpi = minutes()
    turned = replace(kpi, name="turned", higher_is_better=True)
    found = utility([kpi, turned])
    assert found.estimate.estimate == pytest.approx(0)
    assert found.estimate.standard_error == pytest.approx(0, abs=1e-9)
    apart = utility([kpi, replace(turned, clusters=[f"x{at}" for at in PROMPTS])])
    assert apart.estimate.standard_error > 0.1


def test_a_log_of_separate_customers_by_arm() -> None:
    generator = np.random.default_rng(4)
    values = generator.gamma(4, 5, size=300)
    customers = generator.integers(0, 60, size=300)
    arm = customers % 2 == 0
    kpi = Kpi("spend", "USD", True, 1.0, 1.0, values, arm.tolist(), customers.tolist())
    found = utility([kpi])
    assert found.estimate.clusters == len(set(customers.tolist()))
    assert found.estimate.interval is not None
    change = found.changes[0].change.interval
    assert change is not None
    assert found.estimate.interval.low == pytest.approx(change.low, abs=0.5)
    assert found.estimate.interval.high == pytest.approx(change.high, abs=0.5)


def test_without_weight_a_kpi_does_not_count() -> None:
    idle = replace(closed(), weight=0.0)
    assert utility([minutes(), idle]).estimate.estimate == utility([minutes()]).estimate.estimate
    assert utility([idle]).estimate.is_too_few


def test_too_few_is_said() -> None:
    kpi = Kpi("k", "u", True, 1.0, 1.0, [1.0, 2.0], [False, True])
    found = utility([kpi])
    assert found.estimate.notes == (Note.TOO_FEW,)
    assert found.estimate.interval is None


def test_utility_intervals_hold_the_truth() -> None:
    held = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        baseline = generator.gamma(2, 1, size=40)
        values = np.concatenate([baseline, baseline + generator.gamma(2, 1, size=40) - 1.5])
        kpi = Kpi(
            "k", "u", True, 1.0, 1.0, values, [False] * 40 + [True] * 40, [*range(40), *range(40)]
        )
        interval = utility([kpi], Resampling(draws=400, seed=seed)).estimate.interval
        held += interval is not None and 0.5 in interval
    assert 0.92 < held / 300 < 0.98


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, Interval(low, high), 0.1, 10, 10, 0.95, "")


def test_break_even_by_hand() -> None:
    found = break_even(estimate(2.0, 1.0, 3.0), once=6000, monthly=500, value_of_mid=1000)
    assert (found.months, found.low, found.high) == (4.0, 2.4, 12.0)


def test_break_even_may_never_come() -> None:
    found = break_even(estimate(2.0, 0.5, 3.0), once=6000, monthly=500, value_of_mid=1000)
    assert (found.months, found.low, found.high) == (4.0, 2.4, math.inf)
    never = break_even(estimate(-1.0, -2.0, 0.1), once=6000, monthly=0, value_of_mid=1000)
    assert (never.months, never.low, never.high) == (None, 60.0, math.inf)
    unknown = break_even(
        replace(estimate(2.0, 0, 1), interval=None), once=6000, monthly=0, value_of_mid=1000
    )
    assert (unknown.months, unknown.low, unknown.high) == (3.0, 0.0, math.inf)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="KPI rework needs a MID above 0"):
        minutes(mid=0.0)
    with pytest.raises(UsageError, match="name of its own"):
        utility([minutes(), minutes()])
    with pytest.raises(UsageError, match="needs KPIs"):
        utility([])
    with pytest.raises(UsageError, match="break-even"):
        break_even(estimate(1, 0, 2), once=-1, monthly=0, value_of_mid=1)
