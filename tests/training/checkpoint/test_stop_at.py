"""A run that stops at a step and is resumed is the run that nobody stopped, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from killed_runs import make_pairs
from tiny import make_llama, make_tokenizer

from clairkit.cli.main import cli
from clairkit.errors import UsageError
from clairkit.records import write_pairs
from clairkit.training import resolve, run_training

SETTINGS = ("max_steps=4", "save_strategy=no", "logging_steps=1", "learning_rate=1e-3")


@pytest.fixture
def flags(tmp_path: Path) -> dict[str, Any]:
    make_llama().save_pretrained(tmp_path / "model")
    make_tokenizer().save_pretrained(tmp_path / "model")
    write_pairs(tmp_path / "pairs.jsonl", make_pairs(12))
    names = ("model", "pairs.jsonl")
    model, pairs = (str(tmp_path / name) for name in names)
    return {"model": model, "pairs": pairs, "use_cpu": True}


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_stopped_at_a_share_and_a_step_it_ends_as_one_that_went_through(
    flags: dict[str, Any], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_training(resolve({**flags, "output": str(whole)}, SETTINGS))
    config = resolve({**flags, "output": str(parts)}, SETTINGS)
    first = run_training(config, stop_at=0.25)
    assert (first.steps, first.is_paused, first.signal) == (1, True, None)
    assert not (parts / "model.safetensors").exists()
    assert run_training(config, resume=True, stop_at=0.25).steps == 1  # it is there already
    assert run_training(config, resume=True, stop_at=3).steps == 3
    assert (parts / "checkpoint-3" / "model.safetensors").exists()
    last = run_training(config, resume=True, stop_at=1000)
    assert (last.steps, last.is_paused) == (4, False)
    assert weights(parts) == weights(whole)


@pytest.mark.parametrize("step", [0.0, -1.0, 1.5])
def test_a_step_that_there_is_not_is_refused(flags: dict[str, Any], step: float) -> None:
    with pytest.raises(UsageError, match="no such step"):
        run_training(resolve({**flags, "output": "run"}), stop_at=step)


def test_the_command_says_how_to_go_on(
    flags: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = str(tmp_path / "run")
    words = ["train", "--model", flags["model"], "--pairs", flags["pairs"], "-o", run]
    words += [f"--set={each}" for each in (*SETTINGS, "use_cpu=true")]
    monkeypatch.setattr("sys.argv", ["clairkit", *words, "--stop-at", "2"])
    done = CliRunner().invoke(cli, [*words, "--stop-at", "2"], catch_exceptions=False)
    assert "Stopped after step 2, as asked" in done.output
    assert f"-o {run}" in done.output
    assert done.output.rstrip().endswith("--resume")
    assert "--stop-at" not in done.output
