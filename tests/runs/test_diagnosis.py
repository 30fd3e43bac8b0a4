"""Synthetic runs for each finding, and their neighbours that must not have it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from clairkit.losses import LOSSES, preference_loss
from clairkit.runs.diagnosis import (
    Diagnosis,
    Movement,
    RunFacts,
    diagnose,
    variant_alarm,
)
from clairkit.runs.diagnosis.facts import DIFFERENCE_LOSSES

Shape = float | Callable[[float], float]
ROWS = 40


def rows(noise: float = 0.01, count: int = ROWS, **metrics: Shape) -> list[dict[str, Any]]:
    """Rows whose metrics go from a value or function of progress 0..1, with noise on rewards."""
    rng = random.Random(0)
    found = []
    for index in range(count):
        progress = index / max(1, count - 1)
        row: dict[str, Any] = {"step": 10 * (index + 1)}
        for name, shape in {"loss": 0.5, **metrics}.items():
            value = shape(progress) if callable(shape) else shape
            row[name.replace("__", "/")] = value + (
                rng.gauss(0, noise) if name.startswith("rewards") else 0.0
            )
        found.append(row)
    return found


def moving(chosen: float, rejected: float, **more: Shape) -> list[dict[str, Any]]:
    """A run whose rewards go straight from 0 to these."""
    return rows(
        rewards__chosen=lambda t: chosen * t,
        rewards__rejected=lambda t: rejected * t,
        rewards__margins=lambda t: (chosen - rejected) * t,
        **{"rewards__accuracies": lambda t: 0.5 + 0.4 * t, **more},
    )


def held_out(margins: list[float]) -> list[dict[str, Any]]:
    step = 10 * ROWS // len(margins)
    return [
        {"step": step * (i + 1), "eval_loss": 0.5, "eval_rewards/margins": m}
        for i, m in enumerate(margins)
    ]


def read(found: list[dict[str, Any]], loss: str = "apo_zero", **changes: Any) -> Diagnosis:
    return diagnose(found, RunFacts(loss, **{"beta": 0.1, "learning_rate": 1e-6, **changes}))


def kinds(found: list[dict[str, Any]], loss: str = "apo_zero", **changes: Any) -> set[str]:
    return {item.kind for item in read(found, loss, **changes).findings}


@pytest.mark.parametrize(
    ("loss", "chosen", "rejected", "kind", "level"),
    [
        ("apo_zero", 1.0, -1.0, "as_wanted", "good"),
        ("sigmoid", -0.5, -1.5, "both_fell", "problem"),
        ("apo_zero", -0.5, -1.5, "both_fell", "problem"),
        ("apo_down", -0.5, -1.5, "both_fell", "good"),
        ("apo_down", 1.0, -1.0, "chosen_up", "note"),
        ("sigmoid", -1.5, -0.5, "inverted", "problem"),
        ("apo_zero", -1.0, 1.0, "inverted", "problem"),
        ("sft", 1.0, 0.5, "both_rose", "note"),
        ("sft", 0.5, 1.0, "both_rose", "note"),
        ("apo_zero", 0.004, -0.004, "hardly_moved", "problem"),
        ("apo_zero", 0.0, -1.0, "no_direction", "note"),
    ],
)
def test_the_direction(loss: str, chosen: float, rejected: float, kind: str, level: str) -> None:
    found = {item.kind: item.level for item in read(moving(chosen, rejected), loss).findings}
    assert found == {kind: level}


def test_a_fall_is_put_down_to_the_shared_tokens_that_made_it() -> None:
    spans: dict[str, Shape] = {
        "logratio__chosen_edited": 0.5,
        "lengths__chosen_edited": 4.0,
        "logratio__chosen_shared": -0.2,
        "lengths__chosen_shared": 100.0,
    }
    (found,) = read(moving(-1.8, -4.0, **spans), "sigmoid").findings
    assert "sigmoid sees only the difference" in found.text
    assert "pulled along" in found.text
    assert "--loss apo_zero" in found.text
    assert found.evidence["chosen_edited_nats"] == pytest.approx(2.0)
    assert found.evidence["chosen_shared_nats"] == pytest.approx(-20.0)
    spans["logratio__chosen_edited"] = -9.0
    (found,) = read(moving(-5.6, -9.0, **spans), "sigmoid").findings
    assert "Most of the fall is on edited tokens" in found.text
    (found,) = read(moving(-5.6, -9.0, **spans), "apo_zero", loss_mask="edits").findings
    assert "--loss-mask" not in found.text
    assert "--loss apo_zero where" not in found.text


@pytest.mark.parametrize(("name", "differs"), [(n, n in DIFFERENCE_LOSSES) for n in LOSSES])
def test_losses_of_a_difference_are_those_that_a_common_fall_costs_nothing(
    name: str, differs: bool
) -> None:
    torch.manual_seed(0)
    four = [torch.randn(6) for _ in range(4)]
    lengths = {f"{side}_lengths": torch.full((6,), 5.0) for side in ("chosen", "rejected")}
    before = preference_loss(*four, loss=name, beta=1.0, **lengths).loss
    four[0], four[1] = four[0] - 3, four[1] - 3
    after = preference_loss(*four, loss=name, beta=1.0, **lengths).loss
    assert torch.isclose(before, after, atol=1e-4).item() == differs


WANTED = (1.0, -1.0)
ZERO = {"sources": {"clair": 90, "imported": 10}}


@pytest.mark.parametrize(
    ("kind", "with_it", "without", "facts"),
    [
        ("loss_rose", {"loss": lambda t: 0.5 + 0.2 * t}, {"loss": lambda t: 0.5 + 0.005 * t}, {}),
        ("loss_rose", {"loss": lambda t: 0.5 + 0.2 * t}, {"loss": lambda t: 0.5 - 0.2 * t}, {}),
        (
            "saturated",
            {"saturation__chosen": lambda t: t, "saturation__rejected": lambda t: t},
            {"saturation__chosen": lambda t: t, "saturation__rejected": 0.0},
            {},
        ),
        ("undecided", {"rewards__accuracies": 0.5}, {"rewards__accuracies": 0.7}, {}),
        (
            "unstable",
            {"grad_norm": lambda t: 50.0 if 0.5 < t < 0.52 else 1.0},
            {"grad_norm": lambda t: math.exp(-6 * t)},
            {},
        ),
        ("large_kl", {"kl__rejected": lambda t: t}, {"kl__rejected": lambda t: 0.1 * t}, {}),
        ("length_drift", {"logratio__chosen_end": -1.0}, {"logratio__chosen_end": -0.3}, {}),
        (
            "lengths_differ",
            {"lengths__chosen": 160.0, "lengths__rejected": 100.0},
            {"lengths__chosen": 140.0, "lengths__rejected": 100.0},
            {},
        ),
        (
            "easy_pairs",
            {"rewards__accuracies": 1.0},
            {"rewards__accuracies": lambda t: 0.5 + 0.5 * t},
            {},
        ),
    ],
)
def test_a_symptom_and_its_neighbour(
    kind: str, with_it: dict[str, Shape], without: dict[str, Shape], facts: dict[str, Any]
) -> None:
    assert kind in kinds(moving(*WANTED, **with_it), **facts)
    assert kind not in kinds(moving(*WANTED, **without), **facts)
    assert kind not in kinds(moving(*WANTED), **facts)


def test_early_saturation_is_a_problem_and_a_late_one_a_note() -> None:
    def level(since: float) -> str:
        share: Shape = lambda t: float(t > since)  # noqa: E731 - one line beside its use
        found = read(moving(*WANTED, saturation__margin=share), "sigmoid").findings
        return next(item.level for item in found if item.kind == "saturated")

    assert (level(0.1), level(0.6)) == ("problem", "note")


def test_overfitting_needs_a_fall_on_held_out_pairs_while_training_goes_on() -> None:
    train = moving(*WANTED)
    assert "overfit" in kinds(train + held_out([0.5, 1.0, 0.9, 0.7]))
    assert "overfit" not in kinds(train + held_out([0.5, 1.0, 1.1, 1.2]))
    assert "overfit" not in kinds(train + held_out([0.5, 1.0, 0.97, 0.95]))
    assert "overfit" not in kinds(train + held_out([1.0, 0.7]))
    still = rows(rewards__chosen=1.0, rewards__rejected=-1.0, rewards__margins=2.0)
    assert "overfit" not in kinds(still + held_out([0.5, 1.0, 0.9, 0.7]))


def test_held_out_pairs_far_behind() -> None:
    assert "held_out_gap" in kinds(moving(*WANTED) + held_out([0.1, 0.2, 0.3]))
    assert "held_out_gap" not in kinds(moving(*WANTED) + held_out([0.5, 1.0, 1.5]))


def test_the_margin_of_shared_tokens() -> None:
    lengths: dict[str, Shape] = {
        f"lengths__{side}_{span}": 10.0
        for side in ("chosen", "rejected")
        for span in ("edited", "shared")
    }

    def found(edited: float, shared: float, **changes: Any) -> bool:
        ratios = {
            f"logratio__{side}_{span}": sign * value
            for side, sign in (("chosen", 1), ("rejected", -1))
            for span, value in (("edited", edited), ("shared", shared))
        }
        return "shared_margin" in kinds(moving(*WANTED, **lengths, **ratios), **changes)

    assert found(0.1, 0.4)
    assert found(-0.1, 0.4)
    assert not found(0.4, 0.1)
    assert not found(0.4, -0.5)
    assert not found(0.1, 0.4, loss_mask="edits")


def test_the_sft_term_dominates_only_where_it_outweighs_the_slope() -> None:
    run = moving(*WANTED, lengths__chosen=50.0, lengths__rejected=50.0)
    # the slope of apo_zero at reward 0.9 is about 0.1 * 0.2: sft's is weight / 50
    assert "sft_dominates" in kinds(run, "apo_zero+5*sft")
    assert "sft_dominates" not in kinds(run, "apo_zero+sft")
    assert "sft_dominates" not in kinds(run, "apo_zero")


def test_a_distance_is_called_kl_only_on_the_models_own_answers() -> None:
    run = moving(*WANTED, kl__rejected=0.5)

    def text(**changes: Any) -> str:
        found = read(run, **changes).findings
        return next(item.text for item in found if item.kind == "large_kl")

    assert "an estimate of KL" in text(sources={"clair": 10})
    assert "no KL" in text(sources={"judge_off_policy": 10})
    assert "no KL" in text()
    assert "no KL" in text(sources={"clair": 10}, reference="model:other")


def test_lost_rows_and_another_reference_are_told_without_any_step() -> None:
    assert kinds([], counts={"rows": 100, "truncated": 8, "identical": 4}) == {
        "few_rows",
        "lost_rows",
    }
    assert kinds([], counts={"rows": 100, "truncated": 5}) == {"few_rows"}
    assert kinds([], reference="model:other") == {"few_rows", "other_reference"}


def test_few_rows_are_no_trend() -> None:
    short = moving(*WANTED)[:7]
    assert kinds(short) == {"few_rows"}
    assert "7 logged training steps" in read(short).findings[0].text
    assert "few_rows" not in kinds(moving(*WANTED)[:8])


def after(chosen: float, rejected: float, loss: float = 0.5, **changes: Any) -> Movement:
    """What was measured after the last step."""
    end = {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/margins": chosen - rejected,
        "loss": loss,
    }
    return Movement(pairs=16, end=end, **{"start": {}, **changes})


@pytest.mark.parametrize(
    ("loss", "chosen", "rejected", "kind", "level"),
    [
        ("apo_zero", 0.6, -0.4, "moved", "good"),
        ("apo_zero", -0.1, -0.4, "moved", "note"),
        ("apo_down", -0.1, -0.4, "moved", "good"),
        ("apo_zero", -0.4, 0.4, "moved", "problem"),
        ("sft", 0.1, 0.4, "moved", "note"),
        ("apo_zero", 0.01, -0.01, "hardly_moved", "problem"),
        ("sigmoid", -18.0, -21.0, "exploded", "problem"),
    ],
)
@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_run_too_short_for_a_trend_says_whether_it_moved(
    loss: str, chosen: float, rejected: float, kind: str, level: str, count: int
) -> None:
    rows = moving(0.0, 0.0)[:count]
    for row in rows:
        row["loss"] = 0.5
    found = read(rows, loss, movement=after(chosen, rejected))
    levels = {item.kind: item.level for item in found.findings}
    assert levels == {kind: level, "few_rows": "note"}
    assert "Too few" not in found.headline
    assert found.headline.startswith(("The model", "The run exploded"))


def test_the_final_weights_decide_whether_a_long_run_moved() -> None:
    """As where the best checkpoint, an early one, was loaded at the end."""
    still = kinds(moving(*WANTED), movement=after(0.01, -0.01))
    assert still == {"hardly_moved"}
    assert kinds(moving(0.001, -0.001), movement=after(*WANTED)) != {"hardly_moved"}


def test_hardly_moved_suggests_a_rate() -> None:
    (found,) = read(moving(*WANTED), movement=after(0.01, -0.01)).findings
    # A margin of 0.02, ten times 0.05 aimed at.
    assert "(now 1e-06) to about 2e-05 (--set learning_rate=2e-05), at" in found.text
    (found,) = read(moving(1e-9, -1e-9), movement=after(0.0, 0.0)).findings
    assert "to about 0.001 or more (--set learning_rate=0.001), at" in found.text
    (found,) = read(moving(0.004, -0.004)).findings  # of a run that measured nothing at its end
    assert "to about 6e-05 (--set learning_rate=6e-05), at" in found.text


def test_a_run_exploded_when_both_sides_are_lost_and_the_loss_gained_nothing() -> None:
    lost = moving(-18.0, -21.0, loss=1.0)
    assert kinds(lost, movement=after(-18.0, -21.0, loss=1.0)) == {"exploded"}
    fell = kinds(moving(-5.0, -9.0, loss=lambda t: 1 - t), movement=after(-5.0, -9.0, loss=0.1))
    assert "exploded" not in fell
    assert "exploded" not in kinds(moving(-1.0, -3.0), movement=after(-1.0, -3.0, loss=1.0))
    text = read(lost, movement=after(-18.0, -21.0, loss=1.0, dtype="bfloat16")).findings[0].text
    assert "Lower the learning rate (now 1e-06) to a tenth" in text
    assert "train them in float32" in text


def test_against_another_model_only_the_change_counts() -> None:
    start = {"rewards/chosen": -2.0, "rewards/rejected": -1.0, "rewards/margins": -1.0}
    found = read([], movement=after(-1.99, -1.01, start=start)).findings[0]
    assert found.kind == "hardly_moved"
    assert found.evidence["rewards/chosen"] == pytest.approx(0.01)


def test_updates_that_rounding_undid() -> None:
    found = read([], movement=after(0.6, -0.4, lost=0.93, changed=0.008, dtype="bfloat16"))
    text = next(item.text for item in found.findings if item.kind == "rounded_away")
    assert "93% of the updates" in text
    assert "0.8% of them changed" in text
    assert "rounded_away" not in kinds([], movement=after(0.6, -0.4, lost=0.3, changed=0.5))
    assert "rounded_away" not in kinds([], movement=after(0.6, -0.4))


def test_a_sign_within_the_noise_does_not_count() -> None:
    run = rows(noise=3.0, rewards__chosen=0.1, rewards__rejected=-1.0, rewards__margins=9.0)
    assert not {"as_wanted", "both_fell"} & kinds(run)


def test_problems_come_first_and_the_headline_holds_both() -> None:
    found = read(moving(*WANTED, loss=lambda t: 0.5 + 0.2 * t, kl__rejected=0.5))
    assert [item.kind for item in found.findings] == ["loss_rose", "large_kl", "as_wanted"]
    assert found.headline == "Chosen up, rejected down, as wanted, but: the loss went up."
    assert found.lines[0] == found.headline
    assert [line[:4] for line in found.lines[1:]] == ["  ! ", "  - ", "  + "]
    assert found.to_dict()["findings"][0]["kind"] == "loss_rose"


def test_values_that_were_not_finite_are_passed_over() -> None:
    run = moving(*WANTED)
    run[-1] |= {"rewards/chosen": None, "grad_norm": math.nan, "kl/rejected": math.inf}
    assert kinds(run) == {"as_wanted"}


@pytest.mark.parametrize(
    ("loss", "sources", "word"),
    [
        ("apo_down", {"clair": 10}, "Use apo_zero"),
        ("apo-down", {"clair": 6, "imported": 4}, "60% of 10 pairs"),
        ("apo_down+0.1*sft", {"stronger_preferred": 10}, "Use apo_zero"),
        ("apo_zero", {"judge_off_policy": 10}, "use apo_down"),
        ("apo_zero", {"clair": 10}, None),
        ("apo_zero", {"judge_on_policy": 10}, None),
        ("apo_down", {"judge_off_policy": 10}, None),
        ("apo_down", {"clair": 5, "imported": 5}, None),
        ("apo_down", {}, None),
        ("sigmoid", {"clair": 10}, None),
    ],
)
def test_the_alarm(loss: str, sources: dict[str, int], word: str | None) -> None:
    found = variant_alarm(loss, sources)
    assert (found is None) if word is None else (found is not None and word in found)
    assert ("variant" in kinds([], loss, sources=sources)) == (word is not None)
