"""`--prompt-column`, `--system-column` and `--ignore-column` of the commands that read rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run
from clairkit.training.config_sources import resolve

CHOICE = ("--prompt-column", "question", "--system-column", "system", "--ignore-column", "tools")


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    path = tmp_path / "orca.jsonl"
    row = {
        "system": "Be brief.",
        "question": "The sum of 12 and 30?",
        "tools": [{"name": "add"}],
        "chosen": "The sum is 42.",
        "rejected": "The sum is 43.",
    }
    path.write_text(json.dumps(row))
    return str(path)


@pytest.mark.parametrize(
    "command",
    [
        ["score", "PAIRS"],
        ["report", "PAIRS", "-o", "OUT.html"],
        ["score", "PAIRS", "--show", ""],
        [
            "build-pairs",
            "PAIRS",
            "-o",
            "OUT.jsonl",
            "--target",
            "python:json:dumps",
            "--reviser",
            "python:json:dumps",
            "--dry-run",
        ],
        ["evaluate", "PAIRS", "--model", "python:operator:not_", "--check", "python:json:dumps"],
        ["train", "--pairs", "PAIRS", "--model", "MODEL", "-o", "OUT"],
        ["plan", "--pairs", "PAIRS", "--model", "MODEL"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_prompt_in_another_column_is_named_and_can_be_chosen(
    pairs: str,
    tmp_path: Path,
    model_folder: Path,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"PAIRS": pairs, "MODEL": str(model_folder)}
    given = [places.get(word, word.replace("OUT", f"{tmp_path}/out")) for word in command]
    assert run(given) == 3
    assert "--prompt-column question" in capsys.readouterr().err
    assert run([*given, *CHOICE[:2]]) == 3
    assert "column `tools`" in capsys.readouterr().err
    code = run([*given, *CHOICE, *(["--set", "max_steps=1"] if command[0] == "train" else [])])
    captured = capsys.readouterr()
    assert code in ((0, 2) if command[0] == "evaluate" else (0,)), captured.err
    assert "column" not in captured.err


def test_flags_and_file_of_a_training_run(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("{model: m, pairs: p, output: o, ignore_column: [images], prompt_column: q}")
    config = resolve({"ignore_column": None, "prompt_column": "question"}, (), str(file)).config
    assert (list(config.ignore_column), config.prompt_column) == (["images"], "question")
