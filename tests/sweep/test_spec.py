"""sweep.yaml: what it says, and every mistake named with file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweeps import make_spec

from clairkit.errors import ClairError, UsageError
from clairkit.sweep import SweepSpec
from clairkit.sweep.board import whole_trials
from clairkit.sweep.run import check_settings


def spec_of(inputs: Path, **changes: Any) -> SweepSpec:
    return make_spec(inputs, **changes)


def test_settings_stand_in_the_order_of_the_file_and_trials_take_turns(inputs: Path) -> None:
    spec = spec_of(inputs, factors={"loss": ["sft", "ipo"], "beta": [0.1]}, seeds=[3, 1],
                   base={"model": "m"})  # fmt: skip
    labels = [each.label for each in spec.settings]
    assert labels[:2] == ["one, sft, beta 0.1", "one, ipo, beta 0.1"]
    names = [trial.name for trial in spec.trials]
    assert names[:3] == [
        "000-one-sft-beta-0.1-seed3",
        "002-two-sft-beta-0.1-seed3",
        "001-one-ipo-beta-0.1-seed3",
    ]
    assert len(set(names)) == 8


def test_a_trial_is_a_train_configuration_with_checkpoints(inputs: Path) -> None:
    spec = spec_of(inputs, factors={"learning_rate": ["1e-5"], "beta": [0.1]})
    trial = next(iter(spec.trials))
    values = spec.config(trial, {"one": "cut.jsonl"})
    assert (values["pairs"], values["learning_rate"], values["seed"]) == ("cut.jsonl", 1e-5, 0)
    assert (values["save_steps"], values["save_total_limit"]) == (0.25, 1)


def test_seeds_alone_are_a_sweep(inputs: Path) -> None:
    base = {"model": str(inputs / "model"), "pairs": str(inputs / "one.jsonl")}
    spec = spec_of(inputs, base=base, pairs=None, factors=None, seeds=[0, 1, 2])
    assert [each.label for each in spec.settings] == ["base"]
    assert len(list(spec.trials)) == 3


def test_the_budget_is_no_part_of_what_a_sweep_is(inputs: Path) -> None:
    first = spec_of(inputs).digest
    assert spec_of(inputs, budget={"hours": 2}).digest == first
    assert spec_of(inputs, seeds=[1, 0]).digest != first


def test_halving_takes_half_of_a_grid(inputs: Path) -> None:
    betas = [0.1 * at for at in range(1, 9)]
    grid = whole_trials(spec_of(inputs, factors={"beta": betas}))
    assert grid == 32
    assert whole_trials(spec_of(inputs, factors={"beta": betas}, strategy="halving")) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrik": "x"}, r"unknown key: received 'metrik'. Did you mean metric\?"),
        ({"strategy": "halfing"}, r"strategy: no such value.*Did you mean halving\?"),
        ({"strategy": "halving"}, "strategy: halving needs 16 settings or more: received 4"),
        ({"equal": "rows"}, "equal: no such value"),
        ({"seeds": [0, 0]}, "seeds: a seed is there twice"),
        ({"seeds": 3}, "seeds: a list of whole numbers"),
        ({"factors": {"beta": 0.1}}, "factors.beta: a list of values is needed"),
        ({"factors": {"beta": [0.1, 0.1]}}, "factors.beta: a value is there twice"),
        ({"factors": {"loss": ["sft"]}}, "factors.loss: stands under base, too"),
        ({"factors": {"seed": [1]}}, "factors.seed: is no factor.*List them under seeds"),
        ({"pairs": {"one": "gone.jsonl"}}, r"pairs.one: .*gone\.jsonl"),
        ({"pairs": None}, "pairs: pairs stand under pairs .* or under base"),
        ({"metric": "gone.yaml"}, "metric: there is no such file: received 'gone.yaml'"),
        ({"prompts": "gone.jsonl"}, "prompts: "),
        ({"base": {"model": "m", "output": "x"}}, "base.output: is set by the sweep"),
        ({"base": "model"}, "base: a train configuration is needed"),
        ({"budget": {"hours": 0}}, "budget.hours: the number must be above 0"),
        ({"budget": {"hour": 1}}, r"budget: unknown key: received 'hour'. Did you mean hours\?"),
        ({"guards": [{"check": "python:a:b"}]}, r"guards\[1\].margin: a number is needed"),
        (
            {"guards": [{"check": "python:a:b", "margin": 1, "prompts": "gone.jsonl"}]},
            r"guards\[1\].prompts: ",
        ),
    ],
)
def test_a_mistake_is_named_with_its_key(
    inputs: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClairError, match=message) as caught:
        spec_of(inputs, **changes)
    assert "sweep.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"loss": ["sft", "apo_zeor"]}, r"sweep\.yaml: the setting one, apo_zeor: unknown loss"),
        ({"lerning_rate": [1e-5]}, "the setting one, lerning_rate 1e-05: unknown configuration"),
        ({"beta": ["much"]}, "the setting one, beta much: beta must be"),
    ],
)
def test_what_is_no_configuration_is_refused_before_the_first_trial(
    inputs: Path, factors: dict[str, Any], message: str
) -> None:
    spec = spec_of(inputs, factors=factors, base={"model": str(inputs / "model")})
    with pytest.raises(UsageError, match=message):
        check_settings(spec)
