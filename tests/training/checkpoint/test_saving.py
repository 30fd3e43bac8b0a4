"""Saving: a full disk, a limit, a best checkpoint, the final model, two processes."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_runs import SETTINGS, make_inputs, make_pairs
from tiny import make_llama, make_tokenizer
from transformers import TrainerCallback
from two_processes import train_two

from clairkit.errors import ResourceError
from clairkit.training import PreferenceTrainer, TrainConfig, resolve, run_training
from clairkit.training.checkpoint.checkpoints import MANIFEST, PARTIAL, fault
from clairkit.training.checkpoint.saving import replace_files


def make_trainer(run: Path, callbacks: list[Any] | None = None, **arguments: Any) -> Any:
    given = {
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "max_steps": 3,
        "save_steps": 1,
        "logging_steps": 10,
        "learning_rate": 1e-3,
        "use_cpu": True,
        "disable_tqdm": True,
        **arguments,
    }
    config = TrainConfig(model="m", pairs="p", output=str(run), arguments=given)
    return PreferenceTrainer(
        make_llama(), make_tokenizer(), config, make_pairs(12), make_pairs(4), callbacks=callbacks
    )


class At(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Does something at the end of a step, before its checkpoint is saved."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.step = step
        self.act = act

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        if state.global_step == self.step:
            self.act()


def names(run: Path) -> set[str]:
    """What stands there, but for what the run tells of itself."""
    return {path.name for path in run.iterdir()} - {
        "config.yaml",
        "metrics.jsonl",
        "run.json",
        "README.md",
        "training.html",
        "trained_prompts.txt",
    }


@contextmanager
def limited_files() -> Iterator[Callable[[int], None]]:
    """Give a function that sets the largest size of a file: the kernel's own refusal to write."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


# In the weights (about 180 kB), in the optimizer (twice that), in a text file.
@pytest.mark.parametrize("size", [100_000, 300_000, 100])
def test_a_full_disk_leaves_the_earlier_checkpoints_and_nothing_half(
    tmp_path: Path, size: int
) -> None:
    run = tmp_path / "run"
    with limited_files() as limit:
        trainer = make_trainer(run, [At(2, lambda: limit(size))])
        with pytest.raises(ResourceError, match=r"checkpoint-2 can't be written: .*bytes are free"):
            trainer.train()
    assert names(run) == {"checkpoint-1"}
    assert fault(run / "checkpoint-1") is None
    trainer = make_trainer(run)
    assert trainer.train(resume_from_checkpoint=str(run / "checkpoint-1")).global_step == 3
    with limited_files() as limit:
        limit(min(size, 100_000))
        with pytest.raises(ResourceError, match=r"run can't be written: "):
            trainer.save_model()
    assert names(run) == {f"checkpoint-{step}" for step in (1, 2, 3)}


def test_an_error_that_is_not_the_disks_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(PreferenceTrainer, "_save_optimizer_and_scheduler", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        make_trainer(tmp_path / "run").train()
    assert names(tmp_path / "run") == set()


@pytest.mark.parametrize("step", [1, 3])
def test_out_of_memory_says_what_helps_and_keeps_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    flags = {**make_inputs(tmp_path), "output": str(tmp_path / "run")}
    settings = [f"{key}={value}" for key, value in SETTINGS.items()]
    train = PreferenceTrainer.training_step

    def fail(trainer: Any, *args: Any) -> Any:
        if trainer.state.global_step == step - 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1.00 GiB")
        return train(trainer, *args)

    with monkeypatch.context() as patch:
        patch.setattr(PreferenceTrainer, "training_step", fail)
        with pytest.raises(ResourceError) as caught:
            run_training(resolve(flags, settings))
    for part in ("out of memory", "at a peak of", " MB", "in this order: ", "Checkpoints are kept"):
        assert part.lower() in str(caught.value).lower()
    assert caught.value.remedy.count(";") >= 2  # three remedies, ranked
    kept = {name for name in names(tmp_path / "run") if name.startswith("checkpoint")}
    assert kept == {f"checkpoint-{done}" for done in range(1, step)}
    if step > 1:
        assert run_training(resolve(flags, settings), resume=True).steps == 5


def test_checkpoints_hold_a_manifest_and_the_best_one_outlives_the_limit(tmp_path: Path) -> None:
    """The loss rises with this learning rate: the first checkpoint is the best."""
    run = tmp_path / "run"
    trainer = make_trainer(
        run,
        max_steps=4,
        learning_rate=1e-4,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        greater_is_better=True,
        eval_strategy="steps",
        eval_steps=1,
    )
    trainer.train()
    assert names(run) == {"checkpoint-1", "checkpoint-4"}
    assert trainer.state.best_model_checkpoint == str(run / "checkpoint-1")
    for folder in run.glob("checkpoint-*"):
        assert fault(folder) is None
        state = json.loads((folder / "trainer_state.json").read_text())
        assert state["best_model_checkpoint"] == str(run / "checkpoint-1")
    from safetensors.torch import load_file

    best = load_file(run / "checkpoint-1" / "model.safetensors")
    assert torch.equal(trainer.model.model.norm.weight, best["model.norm.weight"])


def test_a_step_that_is_saved_again_replaces_its_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = make_trainer(run, max_steps=1)
    trainer.train()
    (run / "checkpoint-1" / "optimizer.pt").write_bytes(b"damaged")
    (run / PARTIAL / "checkpoint-0").mkdir(parents=True)  # left over by a kill
    trainer._save_checkpoint(trainer.model, trial=None)
    assert fault(run / "checkpoint-1") is None
    assert names(run) == {"checkpoint-1"}


def test_the_final_model_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = make_trainer(run, max_steps=1)
    run.mkdir(exist_ok=True)
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "mine.txt"):
        (run / name).write_text("of before")
    trainer.save_model()
    found = names(run)
    assert {"model.safetensors", "config.json", "mine.txt"} <= found
    assert not {PARTIAL, "model-00001-of-00002.safetensors", "model.safetensors.index.json"} & found
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(run)
    assert all(
        torch.equal(value, trainer.model.state_dict()[name])
        for name, value in loaded.state_dict().items()
    )


def test_weights_come_before_what_makes_a_folder_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = tmp_path / "fresh"
    (fresh / "original").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "a.txt", "original/config.json"):
        (fresh / name).write_text(name)
    moved: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(
        Path,
        "replace",
        lambda path, to: (moved.append(path.relative_to(fresh).as_posix()), replace(path, to))[1],
    )
    replace_files(fresh, tmp_path / "target")
    assert moved == ["a.txt", "model.safetensors", "config.json", "original/config.json"]
    assert (tmp_path / "target" / "original" / "config.json").read_text() == "original/config.json"


@pytest.mark.slow
def test_two_processes_save_one_checkpoint_and_resume_to_the_same_bits(tmp_path: Path) -> None:
    assert train_two(tmp_path / "undisturbed", max_steps=5) == [5, 5]
    run = tmp_path / "run"
    assert train_two(run, max_steps=5, stop=(1, 3)) == [3, 3]
    assert names(run) == {"checkpoint-3"}
    entries = json.loads((run / "checkpoint-3" / MANIFEST).read_text())["files"]
    assert {"rng_state_0.pth", "rng_state_1.pth", "optimizer.pt", "model.safetensors"} <= set(
        entries
    )
    assert fault(run / "checkpoint-3") is None
    assert train_two(run, max_steps=5) == [5, 5]
    weights = [folder / "model.safetensors" for folder in (run, tmp_path / "undisturbed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert PARTIAL not in names(run)


def test_an_adapter_takes_the_place_of_a_whole_model_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    """With both in one folder, transformers would put the adapter on the trained model."""
    files = make_inputs(tmp_path)
    run = tmp_path / "run"
    given = {**files, **SETTINGS, "max_steps": 1, "output": str(run)}
    run_training(resolve(given))
    assert "model.safetensors" in names(run)
    run_training(resolve({**given, "use_peft": True}), force=True)
    assert "adapter_model.safetensors" in names(run)
    assert not {"model.safetensors", "config.json"} & names(run)
    assert "library_name: peft" in (run / "README.md").read_text(encoding="utf-8")
    run_training(resolve({**given, "use_peft": True, "merge_adapter": True}), force=True)
    assert {"model.safetensors", "config.json"} <= names(run)
    assert not {"adapter_model.safetensors", "adapter_config.json"} & names(run)
