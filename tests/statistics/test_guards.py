"""Guards: Holm by hand and against statsmodels; no gain buys one off."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from clairkit.errors import UsageError
from clairkit.statistics.change import Change, mean_change, paired_binary_change
from clairkit.statistics.guards import Guard, GuardStatus, check_guards

HOLDS, VIOLATED, UNDECIDED = GuardStatus.HOLDS, GuardStatus.VIOLATED, GuardStatus.UNDECIDED


def guard(name: str, estimate: float, error: float = 0.01, margin: float = 0.04) -> Guard:
    return Guard(name, Change(estimate, error, 1e9, 1000, 1000), margin)


def test_what_the_bound_says() -> None:
    found = check_guards([guard("same", 0.0), guard("worse", -0.2), guard("open", -0.03)])
    assert [each.status for each in found] == [HOLDS, VIOLATED, UNDECIDED]
    assert found[0].level == pytest.approx(1 - 0.05 / 3)
    assert found[0].lower == pytest.approx(-2.128045 * 0.01, abs=1e-7)  # normal quantile
    assert [each.guard.name for each in found] == ["same", "worse", "open"]


def test_one_guard_is_bounded_at_the_whole_level() -> None:
    (found,) = check_guards([guard("only", -0.02)])
    assert found.lower == pytest.approx(-0.02 - 1.644854 * 0.01, abs=1e-7)
    assert found.status is HOLDS
    (found,) = check_guards([guard("only", -0.024)])
    assert found.status is UNDECIDED


def test_a_gain_buys_nothing_off() -> None:
    found = check_guards([guard("much better", 0.9), guard("worse", -0.1)])
    assert [each.status for each in found] == [HOLDS, VIOLATED]


def test_after_the_first_that_does_not_pass_none_does() -> None:
    """The second alone would pass at 5 %, but not as one of three where another fails."""
    z = [3.0, 1.8, 1.7]  # p = 0.0013, 0.036, 0.045
    guards = [guard(str(at), -0.04 + 0.01 * each) for at, each in enumerate(z)]
    assert [each.status for each in check_guards(guards)] == [HOLDS, UNDECIDED, UNDECIDED]
    assert check_guards(guards[2:])[0].status is HOLDS


@pytest.mark.parametrize("seed", range(8))
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    z = np.random.default_rng(seed).uniform(0, 4, size=seed + 1)
    guards = [guard(str(at), -0.04 + 0.01 * each) for at, each in enumerate(z)]
    found = check_guards(guards)
    rejected = multipletests([each.p_value for each in found], 0.05, method="holm")[0]
    assert [each.status is HOLDS for each in found] == rejected.tolist()
    for each in found:  # what is shown agrees with what is said
        if each.status is HOLDS:
            assert each.lower >= -each.guard.margin - 1e-12


def test_guards_of_all_kinds_stand_together() -> None:
    generator = np.random.default_rng(0)
    right = generator.random(400) < 0.8
    values = generator.normal(10, 2, size=400)
    found = check_guards(
        [
            Guard("math", paired_binary_change(right.tolist(), right.tolist()), 0.04),
            Guard(
                "minutes",
                mean_change(
                    np.concatenate([values, values + 5]),
                    [False] * 400 + [True] * 400,
                    [*range(400), *range(400)],
                ),
                0.5,
            ),
        ]
    )
    assert [each.status for each in found] == [HOLDS, UNDECIDED]  # five more, without any spread
    worse = paired_binary_change(right.tolist(), (right & (generator.random(400) < 0.7)).tolist())
    assert check_guards([Guard("math", worse, 0.04)])[0].status is VIOLATED


@pytest.mark.parametrize("n", [100, 400])
def test_a_guard_that_should_not_pass_passes_as_seldom_as_it_says(n: int) -> None:
    """The true change is -margin; paired right answers."""
    passed = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        uniform, flip = generator.random(n), generator.random(n)
        before = uniform < 0.8
        after = np.where(before, flip > 0.1, flip < 0.15)  # 0.8 * 0.1 lost, 0.2 * 0.15 gained
        (found,) = check_guards(
            [Guard("g", paired_binary_change(before.tolist(), after.tolist()), margin=0.05)]
        )
        passed += found.status is HOLDS
    assert 0.02 < passed / 400 < 0.07  # Newcombe's interval is a little wide at 100


def test_too_few_to_say_is_undecided() -> None:
    (found,) = check_guards([Guard("g", mean_change([1.0, 2.0], [False, True]), 0.1)])
    assert found.status is UNDECIDED
    assert found.p_value == 1.0


def test_no_guards_are_no_results() -> None:
    assert check_guards([]) == []


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="margin of guard math"):
        guard("math", 0.0, margin=-0.1)
    with pytest.raises(UsageError, match="name of its own"):
        check_guards([guard("a", 0.0), guard("a", 0.0)])
    with pytest.raises(UsageError, match="alpha"):
        check_guards([guard("a", 0.0)], alpha=0.0)
