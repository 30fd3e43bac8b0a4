"""Whether a run moved its model: however few its steps, and what rounding did to its weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from some_pairs import some_pairs
from tiny import make_llama, make_tokenizer

from clairkit.errors import UsageError
from clairkit.records import write_pairs
from clairkit.runs.diagnosis.facts import distance, suggested_rate
from clairkit.training import PreferenceTrainer, TrainConfig, resolve, run_training
from clairkit.training.movement import rounding_warning, sampled_parameters

ARGUMENTS = {
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-3,
    "use_cpu": True,
    "disable_tqdm": True,
    "save_strategy": "no",
    "lr_scheduler_type": "constant",
}


def train(run: Path, model: Any = None, said: list[str] | None = None, **keys: Any) -> Any:
    own = {key: keys.pop(key) for key in list(keys) if key in TrainConfig.__dataclass_fields__}
    config = TrainConfig(
        model="m", pairs="p", output=str(run), arguments={**ARGUMENTS, **keys}, **own
    )
    say = (said if said is not None else []).append
    trainer = PreferenceTrainer(
        model or make_llama(), make_tokenizer(), config, some_pairs(12), say=say
    )
    trainer.train()
    return trainer


def all_changed(before: Any, after: Any) -> float:
    """The share of all weights that differ, counted."""
    pairs = list(zip(before.parameters(), after.parameters(), strict=True))
    return sum(int((a != b).sum()) for a, b in pairs) / sum(a.numel() for a, _ in pairs)


@pytest.fixture
def files(tmp_path: Path, model_folder: Path) -> dict[str, str]:
    write_pairs(tmp_path / "pairs.jsonl", some_pairs(12))
    return {
        "model": str(model_folder),
        "pairs": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"),
    }


def finish(files: dict[str, str], *settings: str) -> Any:
    return run_training(resolve(files, ["use_cpu=true", "save_strategy=no", *settings]), force=True)


@pytest.mark.parametrize(
    ("steps", "logging"), [(1, ""), (1, "logging_steps=1000"), (5, ""), (3, "logging_steps=1000")]
)
def test_a_short_run_says_whether_the_model_moved(
    files: dict[str, str], steps: int, logging: str
) -> None:
    settings = [f"max_steps={steps}", *([logging] if logging else [])]
    still = finish(files, *settings, "learning_rate=1e-9").diagnosis
    assert still.findings[0].kind == "hardly_moved"
    said = still.findings[0].text
    assert re.search(
        r"Raise the learning rate \(now 1e-09\) to about (\S+) or more \(--set learning_rate=\1\)",
        said,
    )
    moved = finish(files, *settings, "learning_rate=1e-2").diagnosis
    assert {"moved", "exploded"} & {item.kind for item in moved.findings}
    assert moved.headline.startswith(("The model moved", "The run exploded"))


@pytest.mark.parametrize(
    ("loss", "steps", "adapter"),
    [
        ("apo_zero", 1, "false"),
        ("apo_zero", 1, "true"),
        ("sigmoid", 4, "true"),
        ("sft", 9, "false"),
    ],
)
def test_the_rate_that_is_suggested_moves_the_model(
    files: dict[str, str], loss: str, steps: int, adapter: str
) -> None:
    settings = [f"max_steps={steps}", f"loss={loss}", f"use_peft={adapter}", "beta=0.1"]
    now = 1e-5 if adapter == "true" else 1e-6
    first = finish(files, *settings, f"learning_rate={now}")
    finding = next(item for item in first.diagnosis.findings if item.kind == "hardly_moved")
    rate = suggested_rate(now, distance(first.movement.changes))
    assert rate is not None
    assert f"to about {rate:g}" in finding.text
    second = finish(files, *settings, f"learning_rate={rate}")
    assert not second.movement.is_still
    assert 3 < distance(second.movement.changes) < 30  # ten, as far as it goes on in a line
    assert "hardly_moved" not in {item.kind for item in second.diagnosis.findings}


def test_the_movement_is_that_of_the_final_weights(tmp_path: Path) -> None:
    """The one logged row of a run of one step is from before it: all its rewards are 0."""
    trainer = train(tmp_path, max_steps=1, logging_steps=1)
    assert trainer.state.log_history[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-5)
    moved = trainer.movement
    found = trainer.evaluate(trainer.train_dataset)
    assert moved.pairs == 12
    for name in ("rewards/chosen", "rewards/margins", "logratio/rejected", "loss"):
        assert moved.end[name] == pytest.approx(found[f"eval_{name}"], rel=1e-4)
    assert moved.change("rewards/margins") > 0.01


def test_measuring_changes_neither_the_run_nor_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = train(tmp_path / "a", max_steps=3, logging_steps=1)
    state = torch.get_rng_state()
    monkeypatch.setattr(PreferenceTrainer, "measure_movement", lambda self: None)
    plain = train(tmp_path / "b", max_steps=3, logging_steps=1)
    assert torch.equal(state, torch.get_rng_state())
    for one, other in zip(measured.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other)
    names = [row.keys() for row in measured.state.log_history]
    assert names == [row.keys() for row in plain.state.log_history]


def test_bf16_full_eval_leaves_the_trained_weights_as_they_are(tmp_path: Path) -> None:
    """The Trainer casts the model itself when it is not training."""
    trainer = train(tmp_path, max_steps=1, bf16_full_eval=True)
    assert next(trainer.model.parameters()).dtype == torch.float32


def test_against_another_reference_the_start_is_measured(
    files: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    make_llama(seed=7).save_pretrained(other)
    make_tokenizer().save_pretrained(other)
    settings = [f"ref=model:{other}", "max_steps=2", "learning_rate=1e-9"]
    result = finish(files, *settings)
    assert abs(result.movement.start["rewards/chosen"]) > 0.01
    assert result.movement.is_still
    assert "hardly_moved" in {item.kind for item in result.diagnosis.findings}


def test_a_resumed_run_knows_where_it_started(files: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_llama(seed=7).save_pretrained(other)
    make_tokenizer().save_pretrained(other)
    settings = ["use_cpu=true", f"ref=model:{other}", "save_steps=1", "learning_rate=1e-3"]
    whole = run_training(resolve(files, [*settings, "max_steps=2"]))
    (tmp_path / "run" / "checkpoint-2").rename(tmp_path / "aside")
    again = run_training(resolve(files, [*settings, "max_steps=2"]), resume=True)
    assert whole.movement is not None
    assert again.movement is not None
    assert again.movement.start == whole.movement.start
    assert again.movement.end == whole.movement.end


@pytest.mark.parametrize(
    ("dtype", "rate", "low", "high"),
    [("float32", 1e-6, 0.0, 0.05), ("bfloat16", 1e-6, 0.9, 1.0), ("bfloat16", 1e-2, 0.0, 0.2)],
)
def test_the_share_of_updates_that_round_away(
    tmp_path: Path, dtype: str, rate: float, low: float, high: float
) -> None:
    said: list[str] = []
    model = make_llama().to(getattr(torch, dtype))
    before = make_llama().to(getattr(torch, dtype))
    trainer = train(tmp_path, model, said, max_steps=4, learning_rate=rate)
    moved = trainer.movement
    assert moved.dtype == dtype
    assert low <= moved.lost <= high
    assert moved.changed == pytest.approx(all_changed(before, model), abs=0.05)
    warned = [line for line in said if "without float32 masters" in line]
    assert bool(warned) == (low > 0.5)


def test_lost_updates_are_named_with_the_remedy(files: dict[str, str]) -> None:
    result = finish(files, "dtype=bfloat16", "max_steps=3", "learning_rate=1e-6")
    found = {item.kind: item for item in result.diagnosis.findings}
    assert "set dtype: float32" in found["rounded_away"].text
    assert "bfloat16" in found["rounded_away"].text
    assert "lost to rounding" in found["hardly_moved"].text  # no rate is suggested in vain
    assert "about" not in found["hardly_moved"].text


def test_the_warning_foretells_what_is_lost() -> None:
    """One step of Adam from nothing: each update has the size of the learning rate."""
    model = make_llama().to(torch.bfloat16)
    said = rounding_warning(model, 3e-5, "adamw_torch") or ""
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    lost = float(((weights + 3e-5 == weights) | (weights - 3e-5 == weights)).float().mean())
    assert f"about {lost:.0%}"[:-2] in said  # to ten percent
    assert rounding_warning(model, 3e-5, "sgd") is None
    assert rounding_warning(model.float(), 3e-5, "adamw_torch") is None


def test_a_sample_is_bounded_and_even() -> None:
    model = make_llama()
    sample = sampled_parameters(model)
    assert len(sample) <= 32
    assert all(len(item.places) <= 2048 for item in sample)
    largest = max(sample, key=lambda item: item.size)
    assert largest.places[-1] > 0.99 * largest.size
    for parameter in list(model.parameters())[1:]:
        parameter.requires_grad_(False)
    assert len(sampled_parameters(model)) == 1


@pytest.mark.parametrize("dtype", ["float16", "auto"])
def test_float16_weights_are_refused_before_they_are_loaded(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    half = tmp_path / "half"
    make_llama().half().save_pretrained(half)
    make_tokenizer().save_pretrained(half)
    files = {**files, "model": str(half)}
    monkeypatch.setattr("clairkit.training.run.load_tokenizer", lambda *_: pytest.fail("loaded"))
    with pytest.raises(UsageError, match="float16 can't be trained without float32 masters"):
        finish(files, f"dtype={dtype}", "max_steps=1")
    monkeypatch.undo()
    assert finish(files, f"dtype={dtype}", "max_steps=1", "use_peft=true").steps == 1


def test_float16_weights_are_refused_from_python(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="float16 can't be trained"):
        train(tmp_path, make_llama().half(), max_steps=1)


@pytest.mark.parametrize(
    ("moved", "rate"),
    [(0.5, 2e-5), (0.0025, 1e-3), (1e-9, 1e-3), (0.0, 1e-3), (0.3, 3e-5), (1.0, None), (7, None)],
)
def test_the_rule_of_the_suggested_rate(moved: float, rate: float | None) -> None:
    """Ten times the limit, in proportion, to one digit, at most a thousand times today's."""
    assert suggested_rate(1e-6, moved) == rate
