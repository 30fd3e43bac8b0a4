"""`build-pairs --batch-export` and `--batch-import`: a run at half the price."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from batch_replies import answered, failed, read, write

from clairkit.cli.main import run


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A run against OpenAI's own server, without a key: no server is asked."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"q{n}", "answer": f"the answer {n}."} for n in range(4)]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return ["build-pairs", "prompts.jsonl", "-o", "pairs.jsonl", "--reviser", "openai:gpt-4o"]


def test_a_run_by_a_batch_and_its_half_price(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*given, "--batch-export", "batch.jsonl", "--json"]) == 0
    captured = capsys.readouterr()
    (file,) = json.loads(captured.out)["batch_files"]
    assert (file["path"], file["requests"]) == (str(tmp_path / "batch.jsonl"), 4)
    assert file["bytes"] == (tmp_path / "batch.jsonl").stat().st_size
    assert "To be uploaded" in captured.err
    assert "--batch-import" in captured.err
    lines = [*map(answered, read(tmp_path / "batch.jsonl"))]
    write(tmp_path / "output.jsonl", lines[:3])
    write(tmp_path / "errors.jsonl", [failed(lines[3]["custom_id"], None, "expired")])
    files = ["--batch-import", "output.jsonl", "--batch-import", "errors.jsonl"]
    assert run([*given, *files, "--json"]) == 4
    captured = capsys.readouterr()
    made = json.loads(captured.out)
    assert (made["pairs"], made["calls"]) == (3, 4)
    assert made["imported"] == {
        "recorded": 4,
        "failures": {"request_failed": 1},
        "recorded_before": 0,
        "foreign": 0,
    }
    # 3 replies of 1,000 + 100 tokens, at half of $2.50 and $10.00 a million
    assert made["cost"] == pytest.approx(3 * (1000 * 1.25 + 100 * 5.0) / 1e6)
    assert "Results recorded: 4" in captured.err
    assert run([*given, "--batch-export", "again.jsonl"]) == 0
    assert [line["custom_id"] for line in read(tmp_path / "again.jsonl")] == [lines[3]["custom_id"]]


def test_a_second_export_before_an_import_is_warned_of(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*given, "--limit", "2", "--batch-export", "batch.jsonl"]) == 0
    assert "paid twice" not in capsys.readouterr().err
    assert run([*given, "--batch-export", "again.jsonl", "--quiet"]) == 0
    warned = capsys.readouterr().err
    assert f"{tmp_path / 'batch.jsonl'} was exported before" in warned
    write(tmp_path / "output.jsonl", [*map(answered, read(tmp_path / "batch.jsonl"))])
    assert run([*given, "--batch-import", "output.jsonl"]) == 4
    capsys.readouterr()
    assert run([*given, "--batch-export", "next.jsonl"]) == 0
    assert "paid twice" not in capsys.readouterr().err


def test_the_next_round_is_pointed_at(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "bare"}')
    given += ["--target", "openai:gpt-4o-mini"]
    assert run([*given, "--batch-export", "batch.jsonl"]) == 0
    write(tmp_path / "output.jsonl", [*map(answered, read(tmp_path / "batch.jsonl"))])
    assert run([*given, "--batch-import", "output.jsonl"]) == 4
    captured = capsys.readouterr()
    assert "not done yet" in captured.out
    assert "Rows that ask more: 1. --batch-export writes it to the next file" in captured.err


def test_requests_that_expired_are_asked_again(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*given, "--limit", "1", "--batch-export", "batch.jsonl"]) == 0
    (request,) = read(tmp_path / "batch.jsonl")
    expired = {"custom_id": request["custom_id"], "response": None, "error": {"message": "late"}}
    write(tmp_path / "errors.jsonl", [expired])
    assert run([*given, "--limit", "1", "--batch-import", "errors.jsonl"]) == 4
    assert "Rows that ask more: 1." in capsys.readouterr().err


def test_nothing_open_is_said_and_no_file_is_written(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*given, "--batch-export", "batch.jsonl"]) == 0
    write(tmp_path / "output.jsonl", [*map(answered, read(tmp_path / "batch.jsonl"))])
    assert run([*given, "--batch-import", "output.jsonl"]) == 0
    capsys.readouterr()
    assert run([*given, "--batch-export", "next.jsonl"]) == 0
    assert "No request is open" in capsys.readouterr().out
    assert not (tmp_path / "next.jsonl").exists()


def test_explain_says_what_a_row_cost(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*given, "--batch-export", "batch.jsonl"]) == 0
    write(tmp_path / "output.jsonl", [*map(answered, read(tmp_path / "batch.jsonl"))])
    assert run([*given, "--batch-import", "output.jsonl"]) == 0
    (first, *_) = read(tmp_path / "pairs.jsonl")
    capsys.readouterr()
    assert run(["explain", first["id"], "pairs.jsonl", "--json"]) == 0
    captured = capsys.readouterr()
    cost = (1000 * 1.25 + 100 * 5.0) / 1e6
    assert json.loads(captured.out)["cost"] == pytest.approx(cost)
    assert "In all: 1 request, 1,000 + 100 tokens, $0.0018" in captured.err
    dear = ["--price", "openai-batch:gpt-4o=1000,1000"]
    assert run(["explain", first["id"], "pairs.jsonl", *dear]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("$1.10")


def test_the_file_of_requests_is_no_result(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*given, "--batch-export", "batch.jsonl"]) == 0
    assert run([*given, "--batch-import", "batch.jsonl"]) == 3
    assert "not the one that it was given" in capsys.readouterr().err


def test_results_of_other_requests_are_warned_of(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*given, "--batch-export", "batch.jsonl"]) == 0
    write(tmp_path / "output.jsonl", [*map(answered, read(tmp_path / "batch.jsonl"))])
    assert run([*given, "--limit", "2", "--batch-import", "output.jsonl"]) == 0
    assert "Results that belong to no request of this run: 2" in capsys.readouterr().err


def test_calls_that_could_not_be_made_here_are_warned_of(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "bare"}')
    target = ["--target", "python:reviser_functions:broken"]
    assert run([*given, *target, "--batch-export", "batch.jsonl"]) == 0
    assert "1 call of python:reviser_functions:broken not made" in capsys.readouterr().err
