"""Where a value comes from, and what is said of one that does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from clairkit.errors import UsageError
from clairkit.training import TrainConfig, resolve
from clairkit.training.arguments.defaults import ARGUMENT_DEFAULTS
from clairkit.training.run_directory.files import check_same_run, config_text

GIVEN = {"model": "m", "pairs": "p.jsonl", "output": "run"}


def test_flags_win_over_set_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("beta: 0.2\nloss: hinge\nlearning_rate: 2e-5\nmax_steps: 9\n")
    resolved = resolve({**GIVEN, "beta": 0.4}, ["loss=sigmoid", "beta=0.3"], str(file))
    assert (resolved.config.beta, resolved.config.loss) == (0.4, "sigmoid")
    assert resolved.config.arguments["max_steps"] == 9
    assert resolved.config.arguments["learning_rate"] == 2e-5  # a text to YAML 1.1
    origins = resolved.origins
    assert [origins[k] for k in ("beta", "loss", "max_steps", "max_length", "logging_steps")] == [
        "flag",
        "--set",
        str(file),
        "default",
        "default",
    ]


def test_departures_from_transformers_are_few_and_can_be_undone() -> None:
    assert set(ARGUMENT_DEFAULTS) == {"learning_rate", "logging_steps", "report_to"}
    resolved = resolve(GIVEN, ["report_to=tensorboard", "learning_rate=1e-5"])
    assert resolved.config.arguments["report_to"] == "tensorboard"
    assert resolved.config.arguments["learning_rate"] == 1e-5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["bta=1"], "Did you mean beta"),
        (["learning_rat=1"], "Did you mean learning_rate"),
        (["beta=much"], "beta must be float: received 'much'"),
        (["beta=-1"], "beta must be positive"),
        (["max_length=1"], "at least 2"),
        (["max_length=12.5"], "max_length must be int"),
        (["kernel=cutlass"], "kernel must be one of auto, triton, native, torch, eager"),
        (["truncation=middle"], "truncation must be one of error, drop, keep_start"),
        (["dtype=int8"], "dtype must be one of"),
        (["loss=apo_zer"], "Did you mean 'apo_zero'"),
        (["output_dir=x"], "Use -o"),
        (["freeze=lm_head"], "freeze must be"),
        (["skip_bad=1"], "skip_bad must be bool"),
        (["beta"], "--set takes key=value"),
        (["max_steps=ten"], "max_steps must be int: received 'ten'"),
        (["bf16=maybe"], "bf16 must be bool"),
        (["learning_rate=fast"], "learning_rate must be float"),
        (["gradient_accumulation_steps=0"], "at least 1"),
        (["seed=-1"], "seed must lie in"),
        (["label_smoothing_factor=0.1"], "Use label_smoothing"),
        (["label_smoothing=0.1"], "apo_zero does not read the option"),
        (["loss=robust", "label_smoothing=0.7"], r"must lie in \[0, 0\.5\)"),
        (["memory_budget=-1"], "memory_budget must be a size.*such as 512MB"),
        (["memory_budget=-1GB"], "memory_budget is not a size: received '-1GB'. Write bytes"),
        (["memory_budget=plenty"], "memory_budget is not a size.*24GB"),
        (["run_name=2024-99-99"], "no YAML"),
        (["beta=[1"], "no YAML"),
    ],
)
def test_a_value_that_does_not_fit_says_what_would(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(GIVEN, settings)


@pytest.mark.parametrize(
    ("given", "meant"), [("512MB", 512 * 10**6), ("1 GiB", 2**30), ("64", 64), ("auto", "auto")]
)
def test_a_memory_budget_is_read_as_people_write_it(given: str, meant: object) -> None:
    config = resolve(GIVEN, [f"memory_budget={given}"]).config
    assert config.memory_budget == config.to_dict()["memory_budget"] == meant


def test_a_key_of_the_trainer_is_checked_from_python_too() -> None:
    with pytest.raises(UsageError, match="Did you mean learning_rate"):
        TrainConfig(**GIVEN, arguments={"learning_rat": 1.0})


def test_no_means_no_strategy(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("save_strategy: no\n")
    for resolved in (resolve(GIVEN, (), str(file)), resolve(GIVEN, ["save_strategy=no"])):
        assert resolved.config.arguments["save_strategy"] == "no"


@pytest.mark.parametrize("key", ["model", "pairs", "output"])
def test_what_is_needed_is_asked_for(key: str) -> None:
    with pytest.raises(UsageError, match=f"no {key} given"):
        resolve({**GIVEN, key: None})


@pytest.mark.parametrize("content", ["- a list\n", "a: [1\n", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(content)
    with pytest.raises(UsageError, match=r"c\.yaml"):
        resolve(GIVEN, (), str(file))


def test_the_saved_configuration_can_be_given_again(tmp_path: Path) -> None:
    settings = ["freeze=[lm_head*]", "chat_template_kwargs={a: 1}", "max_steps=3", "beta=1e-1"]
    resolved = resolve(GIVEN, settings)
    file = tmp_path / "config.yaml"
    file.write_text(config_text(resolved))
    assert resolve({}, (), str(file)).config == resolved.config
    assert "beta: 0.1  # --set" in file.read_text()


@pytest.mark.parametrize(
    ("key", "value"), [("learning_rate", 1e-3), ("seed", 3), ("loss", "hinge"), ("max_length", 77)]
)
def test_resuming_with_another_value_shows_both(tmp_path: Path, key: str, value: Any) -> None:
    (tmp_path / "config.yaml").write_text(config_text(resolve(GIVEN)))
    check_same_run(resolve(GIVEN).config, tmp_path)
    with pytest.raises(UsageError, match=rf"{key}: .* then, {value!r} now"):
        check_same_run(resolve(GIVEN, [f"{key}={value}"]).config, tmp_path)


def test_resuming_with_a_default_spelt_out_is_the_same_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(config_text(resolve(GIVEN)))
    settings = ["seed=42", "lr_scheduler_type=linear", "loss=apo-zero"]
    check_same_run(resolve(GIVEN, settings).config, tmp_path)
    with pytest.raises(UsageError, match="seed: 42 then, 7 now"):
        check_same_run(resolve(GIVEN, ["seed=7"]).config, tmp_path)


@pytest.mark.parametrize("content", ["", "- a\n", "a: [1\n"])
def test_resuming_where_the_configuration_is_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(UsageError, match=r"config\.yaml can't be read"):
        check_same_run(resolve(GIVEN).config, tmp_path)


def test_every_key_has_a_docstring() -> None:
    source = Path(__import__("inspect").getsourcefile(TrainConfig)).read_text()
    body = source[source.index("class TrainConfig") : source.index("def __post_init__")]
    assert body.count('    """') == len(TrainConfig.__dataclass_fields__) + 1
    assert yaml.safe_load(config_text(resolve(GIVEN)))["model"] == "m"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["lora_r=8"], "lora_r can't be set without an adapter"),
        (["merge_adapter=true"], "merge_adapter can't be set without"),
        (["load_in_4bit=true"], "load_in_4bit can't be set without"),
        (["use_peft=true", "adapter=here"], "use_peft makes a new one"),
        (["adapter=here", "lora_r=8"], "the adapter to go on with has its own"),
        (["use_peft=true", "lora_r=0"], "lora_r must be at least 1"),
        (["use_peft=true", "lora_dropout=0.1"], "needs disable_dropout: false"),
        (["use_peft=true", "freeze=[lm_head*]"], "freeze can't be set with an adapter"),
        (["shared_weight=2"], "shared_weight must lie in"),
        (["tokens_per_step=0"], "tokens_per_step must be at least 1"),
        (["loss=apo_zero+0.1*stf"], "Did you mean 'sft'"),
        (["f_divergence_type=js_divergence"], "not defined for apo_zero"),
    ],
)
def test_keys_that_would_have_no_effect_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve({"model": "m", "pairs": "p", "output": "o"}, settings)


@pytest.mark.parametrize(
    ("settings", "rate", "origin"),
    [
        ([], 1e-6, "default"),
        (["use_peft=true"], 1e-5, "default for an adapter"),
        (["adapter=there"], 1e-5, "default for an adapter"),
        (["use_peft=true", "learning_rate=1e-6"], 1e-6, "--set"),
    ],
)
def test_an_adapter_has_a_learning_rate_of_its_own(
    settings: list[str], rate: float, origin: str
) -> None:
    resolved = resolve(GIVEN, settings)
    assert resolved.config.arguments["learning_rate"] == rate
    assert resolved.origins["learning_rate"] == origin
    assert f"learning_rate: {yaml.safe_dump(rate).split()[0]}  # {origin}" in config_text(resolved)
    own = {key: yaml.safe_load(value) for key, value in (s.split("=") for s in settings)}
    given = {"learning_rate": 1e-6} if own.pop("learning_rate", None) else {}
    plain = TrainConfig(**GIVEN, **own, arguments=given)  # as from Python
    assert plain.to_dict()["learning_rate"] == rate


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ([], {}),
        (["eval_strategy=epoch"], {}),
        (["eval_strategy=steps"], {"eval_steps": 0.1}),
        (["eval_strategy=steps", "logging_steps=5"], {"eval_steps": 5}),
        (
            ["eval_strategy=steps", "load_best_model_at_end=true"],
            {"eval_steps": 0.1, "save_steps": 0.1},
        ),
        (["eval_strategy=steps", "load_best_model_at_end=true", "save_steps=7"], {"eval_steps": 7}),
        (["eval_strategy=steps", "load_best_model_at_end=true", "eval_steps=3"], {"save_steps": 3}),
        (
            ["eval_strategy=steps", "load_best_model_at_end=true", "save_strategy=best"],
            {"eval_steps": 0.1},
        ),
    ],
)
def test_how_often_to_evaluate_follows_from_what_is_set(
    settings: list[str], found: dict[str, float]
) -> None:
    resolved = resolve(GIVEN, settings)
    derived = {
        k: v
        for k, v in resolved.config.arguments.items()
        if k in ("eval_steps", "save_steps") and resolved.origins[k] != "--set"
    }
    assert derived == found
    assert all(resolved.origins[key].startswith("default for") for key in found)
