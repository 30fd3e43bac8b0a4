"""What is refused and settled before any weight is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
from tiny import make_llama

from clairkit.errors import UsageError
from clairkit.training import TrainConfig, resolve, run_training
from clairkit.training.preflight import check_early, settled, step_tokens
from clairkit.training.run_directory.files import saved_values


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    settings = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    peft.get_peft_model(make_llama(), settings).save_pretrained(folder)
    return folder


def config(**changes: Any) -> TrainConfig:
    arguments = {"use_cpu": True, **changes.pop("arguments", {})}
    return TrainConfig(model="m", pairs="p", output="o", arguments=arguments, **changes)


def test_references_that_are_there(adapter: Path, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    for ref in (
        "start",
        "base",
        f"adapter:{adapter}",
        f"model:{model_folder}",
        f"cache:{tmp_path}/cache",
    ):
        check_early(config(ref=ref))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("model", "no such folder"),
        ("adapter", "no such folder"),
        ("cache", "no such reference cache"),
    ],
)
def test_references_that_are_not(kind: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        check_early(config(ref=f"{kind}:{tmp_path / 'nowhere'}"))


def test_a_reference_of_another_kind_than_it_says(adapter: Path, model_folder: Path) -> None:
    with pytest.raises(UsageError, match="the model is an adapter"):
        check_early(config(ref=f"model:{adapter}"))
    with pytest.raises(UsageError, match="can't load the adapter"):
        check_early(config(ref=f"adapter:{model_folder}"))


def test_a_ref_without_a_meaning_is_a_configuration_that_can_not_be() -> None:
    with pytest.raises(UsageError, match="names no reference"):
        config(ref="bse")


@pytest.mark.parametrize("key", [{"eval_strategy": "epoch"}, {"eval_on_start": True}])
def test_an_evaluation_without_pairs(key: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"nothing to evaluate on.*{next(iter(key))}"):
        check_early(config(arguments=key))
    check_early(config(arguments=key, eval_pairs="held.jsonl"))


def test_a_run_stops_before_its_model_is_read(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(_config: TrainConfig) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("clairkit.training.run.load_model", loaded)
    flags = {"model": str(model_folder), "pairs": "p", "output": str(tmp_path / "run")}
    for setting in ("ref=model:nowhere", "eval_strategy=epoch"):
        with pytest.raises(UsageError):
            run_training(resolve(flags, ["use_cpu=true", setting]))
    assert not (tmp_path / "run").exists()


def test_tokens_of_a_part_go_by_the_device() -> None:
    assert step_tokens(config(), "cpu") == 1024
    assert step_tokens(config(), "cuda") == step_tokens(config(), "xpu") == 8192
    assert step_tokens(config(tokens_per_step=7), "cpu") == 7
    assert step_tokens(config(tokens_per_step=None), "cpu") is None
    assert step_tokens(config(loss="aot"), "cpu") is None


def test_tokens_are_settled_once_for_a_run() -> None:
    flags = {"model": "m", "pairs": "p", "output": "o"}
    fresh = settled(resolve(flags), "cpu")
    assert (fresh.config.tokens_per_step, fresh.origins["tokens_per_step"]) == (
        1024,
        "default on cpu",
    )
    resumed = settled(resolve(flags), "cuda", {"tokens_per_step": 1024})
    assert resumed.config.tokens_per_step == 1024
    unlimited = settled(resolve(flags), "cuda", {"tokens_per_step": None})
    assert unlimited.config.tokens_per_step is None
    given = resolve(flags, ["tokens_per_step=512"])
    assert settled(given, "cpu", {"tokens_per_step": 1024}) is given


def test_a_configuration_without_the_key_is_settled_anew(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("beta: 0.2\n")
    saved = saved_values(tmp_path)
    flags = {"model": "m", "pairs": "p", "output": "o"}
    assert settled(resolve(flags), "cpu", saved).config.tokens_per_step == "auto"
