"""A trainer made in Python writes the run directory that the command writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from some_pairs import some_pairs
from tiny import make_tokenizer
from transformers import AutoModelForCausalLM

from clairkit.cli.main import run as run_command
from clairkit.records import read_pairs, write_pairs
from clairkit.records.leakage import prompt_digest, read_trained_prompts
from clairkit.training import PreferenceTrainer, TrainConfig, resolve, run_training

ARGUMENTS = {
    "max_steps": 3,
    "save_steps": 1,
    "use_cpu": True,
    "learning_rate": 1e-3,
    "disable_tqdm": True,
}
# What differs between two runs anyway, and what only a command knows.
OWN = ("command", "seconds", "peak_memory_mb", "counts")


def from_python(model: Path, pairs: Path, output: Path, **more: Any) -> PreferenceTrainer:
    config = TrainConfig(
        model=str(model), pairs=str(pairs), output=str(output), arguments={**ARGUMENTS, **more}
    )
    loaded = AutoModelForCausalLM.from_pretrained(model)
    return PreferenceTrainer(loaded, make_tokenizer(), config, read_pairs(str(pairs)))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "pairs.jsonl", some_pairs(8))
    return tmp_path / "pairs.jsonl"


def rows(run: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in row.items() if "runtime" not in k and "second" not in k} for row in found
    ]


def test_the_folder_is_that_of_the_command(
    model_folder: Path, pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trainer = from_python(model_folder, pairs, tmp_path / "python")
    trainer.train()
    trainer.save_model()
    files = {"model": str(model_folder), "pairs": str(pairs), "output": str(tmp_path / "command")}
    run_training(resolve(files, [f"{key}={json.dumps(ARGUMENTS[key])}" for key in ARGUMENTS]))
    ours, theirs = tmp_path / "python", tmp_path / "command"
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
    assert rows(ours) == rows(theirs)
    facts = [json.loads((run / "run.json").read_text()) for run in (ours, theirs)]
    assert facts[0].keys() == facts[1].keys()
    for key in facts[0].keys() - set(OWN):
        assert facts[0][key] == facts[1][key], key
    settings = [yaml.safe_load((run / "config.yaml").read_text()) for run in (ours, theirs)]
    settings[0] |= {"output": "command", "tokens_per_step": settings[1]["tokens_per_step"]}
    assert settings[0] == settings[1]
    assert "learning_rate: 0.001  # Python" in (ours / "config.yaml").read_text()
    card = (ours / "README.md").read_text()
    assert card.replace("# python", "# command") == (theirs / "README.md").read_text()
    assert run_command(["report", str(pairs), str(ours), "-o", str(tmp_path / "r.html")]) == 0
    assert "python" in (tmp_path / "r.html").read_text()
    capfd.readouterr()


def test_it_says_of_no_other_run_on_what_prompts_it_trained(
    model_folder: Path, pairs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    trainer = from_python(model_folder, pairs, run)
    trainer.train()
    known = read_trained_prompts(run)
    assert known == {prompt_digest(pair) for pair in read_pairs(str(pairs))}
    config = TrainConfig(
        model=str(model_folder), pairs=str(pairs), output=str(run), arguments=ARGUMENTS
    )
    encoded = trainer.train_dataset.pairs  # whose texts are not known
    PreferenceTrainer(trainer.model, make_tokenizer(), config, encoded).train()
    assert read_trained_prompts(run) is None


def test_a_resumed_trainer_goes_on_in_its_folder(
    model_folder: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_python(model_folder, pairs, tmp_path / "a").train()
    from_python(model_folder, pairs, tmp_path / "b").train()
    run = tmp_path / "b"
    (run / "checkpoint-3" / "optimizer.pt").write_bytes(b"torn")
    again = from_python(model_folder, pairs, run)
    compared: list[tuple[Any, Any]] = []
    monkeypatch.setattr(
        "transformers.trainer.compare_trainer_and_checkpoint_args",
        lambda args, state: compared.append((args.logging_steps, state.logging_steps)),
    )
    again.train(resume_from_checkpoint=True)  # from checkpoint-2: the newest is damaged
    assert compared == [(1, 1)]  # not the share of steps that it was given as
    steps, undisturbed = ([row for row in rows(r) if "loss" in row] for r in (run, tmp_path / "a"))
    assert steps == undisturbed


def test_a_model_that_is_saved_untrained_or_elsewhere_tells_nothing(
    model_folder: Path, pairs: Path, tmp_path: Path
) -> None:
    trainer = from_python(model_folder, pairs, tmp_path / "run", save_strategy="no")
    trainer.save_model()
    assert not (tmp_path / "run" / "README.md").exists()
    trainer.train()
    trainer.save_model(str(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere" / "run.json").exists()
