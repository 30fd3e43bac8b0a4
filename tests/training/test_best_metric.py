"""The metric for the best model: any that is logged, either way, else refused before it matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_runs import make_pairs
from safetensors.torch import load_file
from some_pairs import some_pairs
from tiny import make_llama, make_tokenizer
from transformers import EarlyStoppingCallback, TrainerCallback

from clairkit.errors import UsageError
from clairkit.losses import parse_loss
from clairkit.records import write_pairs
from clairkit.training import PreferenceTrainer, TrainConfig, resolve, run_training
from clairkit.training.adapters import add_adapter
from clairkit.training.best_metric import greater_is_better, known_metrics

ONE = parse_loss("apo_zero")
ARGUMENTS = {
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "use_cpu": True,
    "disable_tqdm": True,
    "max_steps": 4,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "save_steps": 1,
}
HELD_OUT = make_pairs(6)


def trainer(
    run: Path, held_out: Any = HELD_OUT, callbacks: list[Any] | None = None, **keys: Any
) -> Any:
    own = {key: keys.pop(key) for key in list(keys) if key in TrainConfig.__dataclass_fields__}
    config = TrainConfig(
        model="m", pairs="p", output=str(run), arguments={**ARGUMENTS, **keys}, **own
    )
    model: Any = make_llama()
    if config.use_peft:
        model = add_adapter(model, config)
    return PreferenceTrainer(
        model, make_tokenizer(), config, some_pairs(12), held_out, callbacks=callbacks
    )


def evaluations(run: Any, metric: str) -> dict[int, float]:
    return {row["step"]: row[metric] for row in run.state.log_history if metric in row}


class Seen(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Keeps what callbacks are told of an evaluation."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}

    def on_evaluate(self, *_: Any, metrics: dict[str, float], **_kwargs: Any) -> None:
        self.metrics = dict(metrics)


@pytest.mark.parametrize("loss", ["apo_zero", "apo_zero+0.1*sft"])
def test_an_evaluation_returns_logs_and_tells_callbacks_every_metric(
    tmp_path: Path, loss: str
) -> None:
    seen = Seen()
    run = trainer(tmp_path, callbacks=[seen], loss=loss, save_strategy="no")
    run.train()
    found = run.evaluate()
    known = {f"eval_{name}" for name in known_metrics(parse_loss(loss))}
    assert known <= found.keys()
    assert {**found, "step": 4} == run.state.log_history[-1]
    assert {key: seen.metrics[key] for key in known} == {key: found[key] for key in known}
    margin = found["eval_rewards/chosen"] - found["eval_rewards/rejected"]
    assert found["eval_rewards/margins"] == pytest.approx(margin, abs=1e-6)


def test_the_metrics_of_steps_and_of_evaluations_do_not_mix(tmp_path: Path) -> None:
    run = trainer(tmp_path, save_strategy="no")
    run.train()
    rows = [row for row in run.state.log_history if "loss" in row]
    assert all("rewards/margins" in row and "eval_rewards/margins" not in row for row in rows)
    first = run.state.log_history[0]
    assert (first["step"], first["rewards/margins"]) == (1, pytest.approx(0.0, abs=1e-5))


def test_several_sets_of_held_out_pairs_have_their_names_before_their_metrics(
    tmp_path: Path,
) -> None:
    sets = {"near": make_pairs(4), "far": some_pairs(3)}
    run = trainer(
        tmp_path, sets, load_best_model_at_end=True, metric_for_best_model="far_rewards/margins"
    )
    run.train()
    assert run.state.best_metric == max(evaluations(run, "eval_far_rewards/margins").values())
    found = run.evaluate()
    assert {"eval_near_loss", "eval_far_rewards/accuracies"} <= found.keys()
    assert "eval_rewards/accuracies" not in found


@pytest.mark.parametrize(
    ("metric", "best", "adapter"),
    [
        ("eval_rewards/margins", max, False),
        ("rewards/chosen", max, True),
        ("loss", min, False),
        ("kl/rejected", min, True),
    ],
)
def test_the_best_checkpoint_by_any_metric_is_loaded_at_the_end(
    tmp_path: Path, metric: str, best: Any, adapter: bool
) -> None:
    run = trainer(
        tmp_path, load_best_model_at_end=True, metric_for_best_model=metric, use_peft=adapter
    )
    run.train()
    values = evaluations(run, f"eval_{metric.removeprefix('eval_')}")
    assert len(values) == 4
    step = best(values, key=lambda step: values[step])
    assert (run.state.best_global_step, run.state.best_metric) == (step, values[step])
    run.save_model()
    name = "adapter_model.safetensors" if adapter else "model.safetensors"
    saved, kept = load_file(tmp_path / name), load_file(tmp_path / f"checkpoint-{step}" / name)
    assert all(torch.equal(saved[key], kept[key]) for key in kept)


def test_save_strategy_best_keeps_a_checkpoint_for_each_new_best(tmp_path: Path) -> None:
    run = trainer(tmp_path, save_strategy="best", metric_for_best_model="rewards/margins")
    run.train()
    values, best, steps = evaluations(run, "eval_rewards/margins"), -1.0, set()
    for step, value in values.items():
        if value > best:
            best = value
            steps.add(f"checkpoint-{step}")
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == steps


def test_the_rate_falls_where_the_metric_stays(tmp_path: Path) -> None:
    run = trainer(
        tmp_path,
        lr_scheduler_type="reduce_lr_on_plateau",
        save_strategy="no",
        metric_for_best_model="lengths/chosen",
        lr_scheduler_kwargs={"patience": 0, "factor": 0.5},
    )
    run.train()
    rates = [row["learning_rate"] for row in run.state.log_history if "learning_rate" in row]
    assert rates == [1e-3, 1e-3, 5e-4, 2.5e-4]


def test_a_run_ends_when_the_metric_gets_no_better(tmp_path: Path) -> None:
    run = trainer(
        tmp_path, metric_for_best_model="lengths/chosen", early_stopping_patience=2, max_steps=12
    )
    run.train()
    assert run.state.global_step == 3


def test_a_resumed_run_goes_on_counting(tmp_path: Path) -> None:
    settings = {"metric_for_best_model": "lengths/chosen", "early_stopping_patience": 2}
    run = trainer(tmp_path, **settings, max_steps=2)
    run.train()
    again = trainer(tmp_path, **settings, max_steps=12)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert again.state.global_step == 3
    counts = [
        cb.early_stopping_patience_counter
        for cb in again.callback_handler.callbacks
        if isinstance(cb, EarlyStoppingCallback)
    ]
    assert counts == [2]


def test_a_callback_that_came_after_the_checkpoint_is_saved_in_the_next(tmp_path: Path) -> None:
    """transformers ends with a KeyError at the first save."""
    trainer(tmp_path, max_steps=1).train()
    again = trainer(tmp_path, max_steps=2, early_stopping_patience=5)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert (tmp_path / "checkpoint-2").is_dir()


@pytest.mark.parametrize("moved", [False, True])
def test_resuming_knows_the_best_checkpoint_of_before(tmp_path: Path, moved: bool) -> None:
    settings = {
        "load_best_model_at_end": True,
        "metric_for_best_model": "rewards/margins",
        "greater_is_better": False,  # the first evaluation stays the best
    }
    run = trainer(tmp_path / "run", **settings, max_steps=2)
    run.train()
    assert run.state.best_global_step == 1
    place = tmp_path / ("elsewhere" if moved else "run")
    (tmp_path / "run").rename(place)
    again = trainer(place, **settings)
    again.train(resume_from_checkpoint=str(place / "checkpoint-2"))
    assert again.state.global_step == 4
    assert again.state.best_model_checkpoint == str(place / "checkpoint-1")
    best = load_file(place / "checkpoint-1" / "model.safetensors")
    assert all(
        torch.equal(value, best[name])
        for name, value in again.model.state_dict().items()
        if name in best
    )


@pytest.fixture
def files(tmp_path: Path, model_folder: Path) -> dict[str, str]:
    write_pairs(tmp_path / "pairs.jsonl", some_pairs(8))
    write_pairs(tmp_path / "eval.jsonl", HELD_OUT)
    return {
        "model": str(model_folder),
        "pairs": str(tmp_path / "pairs.jsonl"),
        "eval_pairs": str(tmp_path / "eval.jsonl"),
        "output": str(tmp_path / "run"),
    }


SETTINGS = ("use_cpu=true", "max_steps=2", "eval_strategy=steps", "eval_steps=1", "save_steps=1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["metric_for_best_model=eval_rewards/accuracy"], r"Did you mean rewards/accuracies\?"),
        (["metric_for_best_model=reward/margin"], r"Did you mean rewards/margins\?"),
        (["metric_for_best_model=accuracy"], "Known are, with or without eval_ before them: loss,"),
        (["metric_for_best_model=grad_norm"], "is of training steps, not of held-out pairs"),
        (["metric_for_best_model=eval_learning_rate"], "is of training steps"),
        (["metric_for_best_model=loss/sft"], "no metric of the held-out pairs"),
        (["metric_for_best_model=loss", "eval_strategy=no"], "Set eval_strategy to steps or epoch"),
        (["save_strategy=best"], "needs metric_for_best_model"),
        (["early_stopping_patience=2", "eval_strategy=no"], "'early_stopping_patience 2'"),
        (["early_stopping_patience=0"], "must be at least 1"),
        (["early_stopping_threshold=0.1"], "needs early_stopping_patience"),
        (["early_stopping_patience=1", "early_stopping_threshold=.nan"], "at least 0"),
    ],
)
def test_what_can_not_be_measured_is_refused_before_the_model_is_loaded(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, settings: list[str], message: str
) -> None:
    monkeypatch.setattr("clairkit.training.run.load_tokenizer", lambda *_: pytest.fail("loaded"))
    with pytest.raises(UsageError, match=message):
        run_training(resolve(files, [*SETTINGS, *settings]))


def test_a_metric_without_held_out_pairs(files: dict[str, str]) -> None:
    del files["eval_pairs"]
    settings = ["use_cpu=true", "metric_for_best_model=rewards/margins"]
    with pytest.raises(UsageError, match="Pass --eval-pairs and set eval_strategy"):
        run_training(resolve(files, settings))


def test_a_metric_of_a_side_that_the_held_out_pairs_lack(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = json.dumps({"prompt": "say 1", "chosen": "the 1 fox"})
    (tmp_path / "eval.jsonl").write_text(f"{row}\n")
    monkeypatch.setattr("clairkit.training.run.load_model", lambda *_: pytest.fail("loaded"))
    settings = [*SETTINGS, "loss=apo_zero_unpaired", "load_best_model_at_end=true"]
    with pytest.raises(UsageError, match="no held-out pair has what"):
        run_training(resolve(files, [*settings, "metric_for_best_model=rewards/margins"]))
    monkeypatch.undo()
    result = run_training(resolve(files, [*settings, "metric_for_best_model=rewards/chosen"]))
    assert result.best is not None
    assert (result.best["metric"], result.best["loaded"]) == ("eval_rewards/chosen", True)


@pytest.mark.parametrize(
    ("metric", "greater"),
    [
        ("loss", False),
        ("eval_loss", False),
        ("near_loss", False),
        ("rewards/accuracies", True),
        ("eval_rewards/margins", True),
        ("rewards/chosen", True),
        ("rewards/rejected", False),
        ("logps/rejected", False),
        ("kl/rejected", False),
        ("saturation/chosen", False),
        ("below_reference/chosen", False),
        ("below_reference/rejected", True),
        ("quadrants/chosen_up_rejected_down", True),
        ("logps/chosen", True),
        ("far_quadrants/chosen_down_rejected_up", False),
        ("logratio/chosen_end", True),
        ("runtime", False),
        ("samples_per_second", True),
        ("mine", None),
    ],
)
def test_which_way_is_better(metric: str, greater: bool | None) -> None:
    assert greater_is_better(metric, ONE) is greater


def test_which_way_is_better_is_said_and_can_be_set(tmp_path: Path) -> None:
    """transformers takes all but names that end in `loss` for better when greater."""
    run = trainer(tmp_path, metric_for_best_model="kl/rejected")
    assert run.args.greater_is_better is False
    run = trainer(tmp_path, metric_for_best_model="kl/rejected", greater_is_better=True)
    assert run.args.greater_is_better is True
    run = trainer(tmp_path, loss="apo_zero+sft", metric_for_best_model="loss/apo_zero")
    assert run.args.greater_is_better is False


def test_evaluations_and_checkpoints_come_together_where_neither_is_set(
    files: dict[str, str],
) -> None:
    settings = [
        "use_cpu=true",
        "max_steps=20",
        "eval_strategy=steps",
        "save_total_limit=1",
        "load_best_model_at_end=true",
        "metric_for_best_model=rewards/margins",
    ]
    result = run_training(resolve(files, settings))
    assert result.best is not None
    assert result.best["step"] in range(2, 21, 2)
