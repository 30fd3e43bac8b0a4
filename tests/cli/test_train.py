"""`clairkit train` as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clairkit.cli.main import run
from clairkit.records import Pair, read_pairs, write_pairs
from clairkit.records.leakage import prompt_digest, read_trained_prompts


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    write_pairs(
        path,
        [
            Pair(
                prompt=({"role": "user", "content": f"say {n}"},),
                chosen=({"role": "assistant", "content": f"the {n} fox"},),
                rejected=({"role": "assistant", "content": f"the {n} dog"},),
            )
            for n in range(8)
        ],
    )
    return path


def train(model: Path, pairs: Path, output: Path, *more: str) -> int:
    return run(
        [
            "train",
            "--model",
            str(model),
            "--pairs",
            str(pairs),
            "-o",
            str(output),
            "--set",
            "max_steps=2",
            "--set",
            "logging_steps=1",
            "--set",
            "save_strategy=no",
            "--set",
            "use_cpu=true",
            "--set",
            "learning_rate=1e-3",
            *more,
        ]
    )


def test_it_trains_and_says_what_happened(
    model_folder: Path, pairs_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(model_folder, pairs_file, tmp_path / "run", "--loss", "apo-zero") == 0
    out, err = capfd.readouterr()
    assert "2 steps on 8 pairs" in out
    assert "rewards/margins" in out
    assert "Kernel: native" in err
    assert "step 1/2  loss 1.000" in err
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_run_says_which_prompts_it_trained_on(
    model_folder: Path, pairs_file: Path, tmp_path: Path
) -> None:
    assert train(model_folder, pairs_file, tmp_path / "run") == 0
    expected = {prompt_digest(pair) for pair in read_pairs(pairs_file)}
    assert read_trained_prompts(tmp_path / "run") == expected
    assert read_trained_prompts(tmp_path / "run" / "checkpoint-2") == expected
    assert read_trained_prompts(tmp_path) is None


def test_a_second_file_of_pairs_is_refused(
    model_folder: Path, pairs_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(model_folder, pairs_file, tmp_path / "run", "--pairs", "more.jsonl") == 2
    assert "'--pairs': takes one value" in capsys.readouterr().err


def test_json_is_one_object_on_stdout(
    model_folder: Path, pairs_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(model_folder, pairs_file, tmp_path / "run", "--json") == 0
    result = json.loads(capfd.readouterr().out)
    assert (result["steps"], result["pairs"], result["kernel"]) == (2, 8, "native")
    assert result["output"] == str(tmp_path / "run")


def test_quiet_prints_the_result_alone(
    model_folder: Path, pairs_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(model_folder, pairs_file, tmp_path / "run", "--quiet", "--json") == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["steps"] == 2
    assert err == ""


def test_print_config_shows_values_and_origins(capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        run(
            [
                "train",
                "--model",
                "m",
                "--pairs",
                "p",
                "-o",
                "r",
                "--set",
                "beta=0.2",
                "--print-config",
            ]
        )
        == 0
    )
    out = capfd.readouterr().out
    assert "beta: 0.2  # --set" in out
    assert "model: m  # flag" in out
    assert "max_length: 1024  # default" in out


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--set", "bta=1"], 2, "Did you mean beta"),
        (["--kernel", "cutlass"], 2, "'cutlass' is not one of"),
        (["--loss", "apo"], 2, "unknown loss"),
        (["--resume"], 2, "no run directory"),
        (["--set", "max_length=6"], 3, "0 of 8 pairs left"),
        (["--set", "freeze=['*']"], 3, "nothing is trainable"),
        (["--config", "absent.yaml"], 2, "absent.yaml"),
    ],
)
def test_errors_have_their_exit_code_and_no_traceback(
    model_folder: Path,
    pairs_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
    message: str,
) -> None:
    assert train(model_folder, pairs_file, tmp_path / "run", *more) == code
    err = capfd.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_a_pairs_file_that_is_not_there(
    model_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(model_folder, tmp_path / "absent.jsonl", tmp_path / "run") == 3
    assert "absent.jsonl" in capfd.readouterr().err


def test_out_of_memory_is_exit_5_with_remedies(
    model_folder: Path,
    pairs_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 TB")

    monkeypatch.setattr("clairkit.training.trainer.PreferenceTrainer.pair_losses", full)
    assert train(model_folder, pairs_file, tmp_path / "run") == 5
    assert "halve tokens_per_step" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_a_checkpoint_and_the_command_that_resumes(
    model_folder: Path, pairs_file: Path, tmp_path: Path, number: int, code: int
) -> None:
    command = [
        sys.executable,
        "-m",
        "clairkit.cli",
        "train",
        "--model",
        str(model_folder),
        "--pairs",
        str(pairs_file),
        "-o",
        str(tmp_path / "run"),
        "--set",
        "max_steps=100000",
        "--set",
        "logging_steps=1",
        "--set",
        "save_strategy=no",
        "--set",
        "use_cpu=true",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step 2/"):
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert process.returncode == code, rest
    assert "with a checkpoint" in rest
    assert rest.rstrip().endswith("--resume")
    assert not (tmp_path / "run" / "model.safetensors").exists()
    [folder] = (tmp_path / "run").glob("checkpoint-*")
    assert (folder / "MANIFEST.json").is_file()
