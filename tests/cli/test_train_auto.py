"""`train --loss auto`: the loss that `score --judge` speaks for, which a resumed run keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run
from clairkit.models.requests import JudgeRequest


def prefers_foxes(request: JudgeRequest) -> str:
    return "first" if "fox" in request.first else "second"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"prompt": f"say {n}", "chosen": f"dog {n}", "rejected": f"fox {n}", "source": "clair"}
        for n in range(16)
    ]
    write("pairs.jsonl", rows)


def write(name: str, rows: list[dict[str, object]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def loss_line() -> str:
    lines = Path("run/config.yaml").read_text().splitlines()
    return next(line for line in lines if line.startswith("loss:"))


def train(model: Path, pairs: str, steps: int, *more: str) -> int:
    settings = (f"max_steps={steps}", "save_steps=1", "use_cpu=true", "logging_steps=1")
    sets = [word for setting in settings for word in ("--set", setting)]
    command = ["train", "--model", str(model), "--pairs", pairs, "-o", "run", "--loss", "auto"]
    return run([*command, *sets, *more])


@pytest.mark.slow
def test_from_verdicts_to_a_loss(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(model_folder, "pairs.jsonl", 1) == 3
    said = capsys.readouterr().err
    command = "clairkit score pairs.jsonl --judge openai:MODEL -o pairs.judged.jsonl"
    assert command in " ".join(said.split())

    judge = f"python:{__name__}:prefers_foxes"
    words = command.replace("openai:MODEL", judge).split()[1:]
    assert run(words) == 0
    assert train(model_folder, "pairs.judged.jsonl", 1) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Loss apo_down: chosen answers are worse than the target's own (q = 0.000" in said
    assert "Use apo_zero" not in said  # what the method makes likely; verdicts know better
    assert "16 pairs of 16 prompts" in said
    before = loss_line()
    assert before.startswith("loss: apo_down  # auto: q = 0.000")
    choice = json.loads(Path("run/run.json").read_text())["loss_choice"]

    judged = [json.loads(line) for line in Path("pairs.judged.jsonl").read_text().splitlines()]
    write("pairs.judged.jsonl", [{**row, "scores": {}} for row in judged])
    assert train(model_folder, "pairs.judged.jsonl", 2, "--resume", "--allow-change=max_steps") == 0
    assert loss_line() == before
    assert json.loads(Path("run/run.json").read_text())["loss_choice"] == choice
    assert "apo_down: chosen answers are worse" in Path("run/README.md").read_text()


def test_a_plan_needs_no_verdict(model_folder: Path) -> None:
    plan = ["plan", "--model", str(model_folder), "--pairs", "pairs.jsonl", "--set", "use_cpu=true"]
    assert run([*plan, "--loss", "auto", "--json"]) == 0
