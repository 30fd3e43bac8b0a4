"""Resuming: from the same pairs and weights, by content, and from this run's checkpoints alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import make_llama, make_tokenizer

from clairkit.errors import ResourceError, UsageError
from clairkit.records import Pair, write_pairs
from clairkit.training import resolve, run_training

SETTINGS = ("max_steps=4", "save_steps=2", "logging_steps=1", "learning_rate=1e-3", "use_cpu=true")


def write(path: Path, word: str = "dog") -> None:
    path.unlink(missing_ok=True)
    write_pairs(
        path,
        [
            Pair(
                prompt=({"role": "user", "content": f"say {n}"},),
                chosen=({"role": "assistant", "content": f"the {n} fox"},),
                rejected=({"role": "assistant", "content": f"the {n} {word}"},),
                id=f"{n:016x}",
            )
            for n in range(12)
        ],
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    make_llama().save_pretrained(tmp_path / "model")
    make_tokenizer().save_pretrained(tmp_path / "model")
    write(tmp_path / "pairs.jsonl")
    return {
        "model": str(tmp_path / "model"), "pairs": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"),
    }  # fmt: skip


def steps(run: Path) -> list[int]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["step"] for row in rows if "loss" in row]


def test_resuming_from_other_pairs_or_weights_under_the_same_path_is_refused(
    files: dict[str, Any], tmp_path: Path
) -> None:
    run_training(resolve(files, SETTINGS))
    write(tmp_path / "pairs.jsonl", "cat")  # with the same ids
    with pytest.raises(UsageError, match="the training pairs changed"):
        run_training(resolve(files, SETTINGS), resume=True)
    write(tmp_path / "pairs.jsonl")
    make_llama(seed=5).save_pretrained(tmp_path / "model")
    with pytest.raises(UsageError, match="the model's weights changed"):
        run_training(resolve(files, SETTINGS), resume=True)
    (tmp_path / "run" / "run.json").write_text("[]")
    with pytest.raises(UsageError, match=r"run\.json can't be read"):
        run_training(resolve(files, SETTINGS), resume=True)


def test_rows_that_are_written_again_replace_the_earlier_ones(
    files: dict[str, Any], tmp_path: Path
) -> None:
    run_training(resolve(files, SETTINGS))
    run = tmp_path / "run"
    shutil.rmtree(run / "checkpoint-4")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # killed while it was writing
    run_training(resolve(files, SETTINGS), resume=True)
    assert steps(run) == [1, 2, 3, 4]
    summaries = [row for row in (run / "metrics.jsonl").open() if "train_runtime" in row]
    assert len(summaries) == 1


def test_a_forced_run_can_not_resume_from_the_one_before(
    files: dict[str, Any], tmp_path: Path
) -> None:
    run_training(resolve(files, SETTINGS))
    said: list[str] = []
    shorter = (*SETTINGS, "max_steps=2", "learning_rate=2e-3")
    run_training(resolve(files, shorter), force=True, say=said.append)
    assert any("Removed 2 checkpoints" in line for line in said)
    assert [folder.name for folder in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]
    assert run_training(resolve(files, shorter), resume=True).steps == 2


def test_a_checkpoint_without_its_optimizer_is_not_resumed(files: dict[str, Any]) -> None:
    settings = (*SETTINGS, "save_only_model=true")
    run_training(resolve(files, settings))
    with pytest.raises(ResourceError, match="checkpoint-4 holds no optimizer"):
        run_training(resolve(files, settings), resume=True)


def test_a_run_shorter_than_its_logging_steps_still_has_metrics(
    files: dict[str, Any], tmp_path: Path
) -> None:
    result = run_training(resolve(files, (*SETTINGS, "logging_steps=10")))
    assert 0 < result.metrics["loss"] < 1
    assert "| rewards/margins |" in (tmp_path / "run" / "README.md").read_text()


def test_weights_that_are_cut_short_and_a_folder_that_can_not_be_made(
    files: dict[str, Any], tmp_path: Path
) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UsageError, match="can't load the model"):
        run_training(resolve(files, SETTINGS))
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="can't make the run directory"):
        run_training(resolve({**files, "output": str(tmp_path / "file" / "run")}, SETTINGS))
