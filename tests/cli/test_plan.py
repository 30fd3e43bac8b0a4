"""`clairkit plan` as a command: what it prints, its JSON, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clairkit.cli.main import run


def plan(model_folder: Path, *options: str) -> int:
    line = ["plan", "--model", str(model_folder), "--lengths", "200,150,100", "--rows", "16"]
    return run([*line, "--set", "max_steps=2", "--set", "use_cpu=true", *options])


def test_what_fits_exits_with_0(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(model_folder, "--memory", "64 GB", "--flops", "1e11") == 0
    out = capsys.readouterr().out
    assert "Fits cpu (64.0 GB)." in out
    assert "Time:" in out


@pytest.mark.slow
def test_what_does_not_fit_exits_with_7_and_shows_what_helps(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(model_folder, "--memory", "1000000", "--tokens-per-step", "8192", "--json") == 7
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["fits"] is False
    assert found["peak"] == sum(found["parts"].values())
    assert found["parts"]["weights"] >= 4 * found["parameters"]
    assert found["remedies"]
    for remedy in found["remedies"]:
        assert remedy["total"] == found["peak"] - remedy["saved"] < found["peak"]


def test_a_model_that_is_not_there_is_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(tmp_path / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


def test_what_train_refuses_is_refused(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import peft
    from tiny import make_llama

    settings = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    peft.get_peft_model(make_llama(), settings).save_pretrained(tmp_path)
    assert plan(model_folder, "--ref", f"model:{tmp_path}") == 2
    assert "the model is an adapter" in capsys.readouterr().err
    assert plan(model_folder, "--set", "eval_strategy=epoch") == 2
    assert "nothing to evaluate on" in capsys.readouterr().err
