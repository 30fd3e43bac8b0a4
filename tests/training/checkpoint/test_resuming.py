"""Resuming with today's arguments, and not beyond the last step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from killed_runs import make_pairs
from tiny import make_llama, make_tokenizer

from clairkit.training import PreferenceTrainer, TrainConfig


def make_trainer(run: Path, **arguments: Any) -> Any:
    given = {
        "per_device_train_batch_size": 4,
        "max_steps": 4,
        "save_steps": 2,
        "learning_rate": 1e-3,
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_steps": 1,
        **arguments,
    }
    config = TrainConfig(model="m", pairs="p", output=str(run), arguments=given)
    return PreferenceTrainer(make_llama(), make_tokenizer(), config, make_pairs(12))


def rates(trainer: Any) -> list[float]:
    return [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row]


def saved_rates(folder: Path) -> list[float]:
    state = torch.load(folder / "optimizer.pt", weights_only=True)
    return [group["lr"] for group in state["param_groups"]]


def test_a_finished_run_trains_no_step_more(tmp_path: Path) -> None:
    """Its last step lies within an epoch of three: transformers would go on with it."""
    run = tmp_path / "run"
    trainer = make_trainer(run)
    trainer.train()
    again = make_trainer(run)
    assert again.train(resume_from_checkpoint=str(run / "checkpoint-4")).global_step == 4
    assert all(
        torch.equal(value, again.model.state_dict()[name])
        for name, value in trainer.model.state_dict().items()
    )


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup"])
def test_without_a_change_the_learning_rate_is_the_same_to_the_bit(
    tmp_path: Path, schedule: str
) -> None:
    run = tmp_path / "run"
    arguments = {"lr_scheduler_type": schedule, "warmup_steps": 1}
    trainer = make_trainer(run, **arguments)
    trainer.train()
    again = make_trainer(run, **arguments)
    again.train(resume_from_checkpoint=str(run / "checkpoint-2"))
    assert rates(again) == rates(trainer)
    assert again.optimizer.param_groups[0]["lr"] == saved_rates(run / "checkpoint-4")[0]
    assert torch.equal(trainer.model.lm_head.weight, again.model.lm_head.weight)


def test_a_longer_run_goes_on_with_the_schedule_of_its_length(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_trainer(run).train()
    longer = make_trainer(run, max_steps=8)
    assert longer.train(resume_from_checkpoint=str(run / "checkpoint-2")).global_step == 8
    expected = [1e-3, 7.5e-4, *(1e-3 * (1 - step / 8) for step in range(2, 8))]
    assert rates(longer) == pytest.approx(expected)


def test_what_may_change_is_what_counts(tmp_path: Path) -> None:
    """transformers by itself keeps the checkpoint's rate, decay and save steps, without a word."""
    run = tmp_path / "run"
    make_trainer(run).train()
    changed = make_trainer(
        run,
        learning_rate=2e-3,
        weight_decay=0.25,
        save_steps=3,
        lr_scheduler_type="constant",
        adam_beta2=0.9,
    )
    changed.train(resume_from_checkpoint=str(run / "checkpoint-2"))
    assert rates(changed)[2:] == [2e-3, 2e-3]
    groups = changed.optimizer.param_groups
    assert {group["weight_decay"] for group in groups} == {0.25, 0.0}
    assert {tuple(group["betas"]) for group in groups} == {(0.9, 0.9)}
    assert (run / "checkpoint-3").is_dir()
