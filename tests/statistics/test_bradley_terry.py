"""Bradley-Terry: against choix and statsmodels, and where likelihood alone has no answer."""

from __future__ import annotations

import math
from itertools import combinations

import choix
import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from simulated import FIVES, draw_prompts, verdict

from clairkit.errors import UsageError
from clairkit.statistics.bradley_terry import (
    ELO_PER_LOGIT,
    Comparison,
    Rating,
    bradley_terry,
)
from clairkit.statistics.estimates import Note
from clairkit.statistics.win_rate import mean_share

MODELS = ["a", "b", "c", "d"]
STRENGTHS = dict(zip(MODELS, [0.0, 0.5, -0.4, 0.9], strict=True))


def simulated(n: int = 100) -> tuple[list[Comparison], dict[int, int]]:
    generator = np.random.default_rng(8)
    prompts = draw_prompts(n, FIVES, generator)
    rows = []
    for first, second in combinations(MODELS, 2):
        chance = np.full(n, expit(STRENGTHS[first] - STRENGTHS[second]))
        seen = verdict(chance, prompts.latent, generator)
        rows += [Comparison(at, first, second, float(score)) for at, score in enumerate(seen)]
    return rows, dict(enumerate(prompts.labels))


def by_model(ratings: list[Rating]) -> dict[str, Rating]:
    return {rating.model: rating for rating in ratings}


def wins(winner: str, loser: str, count: int, score: float = 1.0) -> list[Comparison]:
    return [Comparison(prompt, winner, loser, score) for prompt in range(count)]


def test_strengths_are_those_of_choix() -> None:
    rows, _ = simulated()
    wins_twice = []  # a tie is a win of each; a win counts two
    for row in rows:
        first, second = MODELS.index(row.first), MODELS.index(row.second)
        ahead, behind = round(2 * row.score), round(2 - 2 * row.score)
        wins_twice += [(first, second)] * ahead + [(second, first)] * behind
    oracle = choix.ilsr_pairwise(4, wins_twice, alpha=0, tol=1e-12)
    found = by_model(bradley_terry(rows, "a"))
    for at, model in enumerate(MODELS):
        elo = (oracle[at] - oracle[0]) * 400 / math.log(10)
        assert found[model].elo.estimate == pytest.approx(elo, abs=1e-4)


def test_standard_errors_are_those_of_statsmodels_clustered_glm() -> None:
    rows, clusters = simulated()
    design = np.array([[(row.first == m) - (row.second == m) for m in MODELS[1:]] for row in rows])
    oracle = sm.GLM(
        [row.score for row in rows], design.astype(float), family=sm.families.Binomial()
    ).fit(
        cov_type="cluster",
        cov_kwds={
            "groups": np.array([clusters[row.prompt] for row in rows]),
            "use_correction": False,
        },
    )
    found = by_model(bradley_terry(rows, "a", clusters))
    for at, model in enumerate(MODELS[1:]):
        elo = found[model].elo
        assert elo.estimate == pytest.approx(ELO_PER_LOGIT * oracle.params[at], rel=1e-7)
        assert elo.standard_error == pytest.approx(ELO_PER_LOGIT * oracle.bse[at], rel=1e-6)
        assert (elo.n, elo.clusters) == (600, 20)
        assert found[model].comparisons == 300


def test_differences_do_not_depend_on_the_base() -> None:
    rows, clusters = simulated()
    to_a, to_b = (by_model(bradley_terry(rows, base, clusters)) for base in "ab")
    shift = to_a["b"].elo.estimate
    for model in MODELS:
        assert to_b[model].elo.estimate == pytest.approx(to_a[model].elo.estimate - shift)
    assert to_b["a"].elo.standard_error == pytest.approx(to_a["b"].elo.standard_error)
    assert [each.model for each in bradley_terry(rows, "a")] == ["d", "b", "a", "c"]


def test_one_prompt_asked_six_times_is_one_cluster() -> None:
    rows, _ = simulated(60)
    once = by_model(bradley_terry(rows, "a"))["d"].elo
    again = by_model(bradley_terry(rows * 6, "a"))["d"].elo
    assert again.standard_error == pytest.approx(once.standard_error)
    assert again.interval is not None
    assert once.interval is not None
    assert again.interval.low == pytest.approx(once.interval.low)


def test_two_models_add_nothing_to_the_win_rate() -> None:
    rows = wins("new", "base", 40) + [
        Comparison(prompt, "new", "base", 0.0) for prompt in range(40, 60)
    ]
    found = by_model(bradley_terry(rows, "base"))["new"].elo
    assert Note.TWO_MODELS in found.notes
    assert found.estimate == pytest.approx(400 * math.log10(2))


def test_an_undefeated_model_has_wilson_s_lower_bound() -> None:
    found = by_model(bradley_terry(wins("new", "base", 60), "base"))["new"].elo
    share = mean_share([1.0] * 60).interval
    assert found.estimate == math.inf
    assert found.notes == (Note.TWO_MODELS, Note.UNDEFEATED)
    assert found.interval is not None
    assert share is not None
    assert found.interval.high == math.inf
    low = 400 * math.log10(share.low / (1 - share.low))
    assert found.interval.low == pytest.approx(low, rel=1e-6)


def test_a_winless_model_mirrors_it() -> None:
    up = by_model(bradley_terry(wins("new", "base", 60), "base"))["new"].elo.interval
    down = by_model(bradley_terry(wins("base", "new", 60), "base"))["new"].elo
    assert down.estimate == -math.inf
    assert Note.WINLESS in down.notes
    assert up is not None
    assert down.interval is not None
    assert (down.interval.low, down.interval.high) == (-math.inf, pytest.approx(-up.low))


def test_a_tied_pair_above_all_others() -> None:
    """Two models trade wins, and both beat the base and its twin always."""
    rows = wins("x", "base", 50) + wins("y", "base", 50) + wins("x", "y", 50, 0.5)
    rows += wins("base", "twin", 50, 0.5) + wins("x", "twin", 50)
    found = by_model(bradley_terry(rows, "base"))
    assert found["x"].elo.estimate == found["y"].elo.estimate == math.inf
    lows = [found[name].elo.interval for name in "xy"]
    assert all(low is not None and 300 < low.low < 600 for low in lows)
    assert found["twin"].elo.estimate == pytest.approx(0, abs=1e-9)


def test_what_no_chain_compares_has_no_figure() -> None:
    rows = wins("top", "base", 30) + wins("top", "other", 30)  # base and other both lost to top
    rows += wins("p", "q", 30, 0.5)  # never met the rest
    found = by_model(bradley_terry(rows, "base"))
    for name in ("other", "p", "q"):
        assert math.isnan(found[name].elo.estimate)
        assert found[name].elo.is_too_few
        assert Note.NOT_COMPARABLE in found[name].elo.notes
    assert found["top"].elo.estimate == math.inf


def test_a_chain_over_a_third_model_compares() -> None:
    rows = wins("a", "b", 30, 0.5) + wins("b", "c", 30, 0.5)
    found = by_model(bradley_terry(rows, "a"))["c"].elo
    assert found.estimate == pytest.approx(0, abs=1e-9)


def test_one_cluster_is_too_few() -> None:
    rows = [Comparison(0, "new", "base", score) for score in (1.0, 0.0, 1.0)]
    found = by_model(bradley_terry(rows, "base"))["new"].elo
    assert found.is_too_few
    assert Note.ONE_CLUSTER in found.notes
    undefeated = by_model(bradley_terry(wins("new", "base", 1), "base"))["new"].elo.interval
    assert undefeated is not None
    assert (undefeated.low, undefeated.high) == (-math.inf, math.inf)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="base takes part in no comparison"):
        bradley_terry(wins("a", "b", 3), "c")
    with pytest.raises(UsageError, match="between 0 and 1"):
        bradley_terry(wins("a", "b", 3, 2.0), "a")
    with pytest.raises(UsageError, match="compared with itself"):
        bradley_terry(wins("a", "a", 3), "a")
    with pytest.raises(UsageError, match="no cluster"):
        bradley_terry(wins("a", "b", 3), "a", {0: "x"})
