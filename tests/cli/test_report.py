"""`clairkit report`, from files to a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    rows = [
        {"id": f"row{at}", "prompt": "Why?", "chosen": f"{at} EUR", "rejected": f"{at}"}
        for at in range(5)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_page_is_written_once(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "page.html"
    assert run(["report", pairs, "-o", str(output)]) == 0
    assert f"Report: {output} (5 pairs, 0.0 MB)." in capsys.readouterr().out
    first = output.read_bytes()
    assert first.startswith(b"<!DOCTYPE html>")
    assert run(["report", pairs, "-o", str(output)]) == 2
    assert "exists" in capsys.readouterr().err
    assert run(["report", pairs, "-o", str(output), "--force"]) == 0
    assert output.read_bytes() == first


def test_json(pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "page.html"
    arguments = ["report", pairs, "-o", str(output), "--language", "ja", "--max-pairs", "2"]
    assert run([*arguments, "--json", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {
        "output": str(output),
        "pairs": 5,
        "browsed": 2,
        "runs": 0,
        "bytes": output.stat().st_size,
        "language": "ja",
        "skipped": {},
    }


def test_bad_rows(pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Path(pairs).open("a") as file:
        file.write("{torn\n")
    output = tmp_path / "page.html"
    assert run(["report", pairs, "-o", str(output)]) == 3
    assert "pairs.jsonl:6" in capsys.readouterr().err
    assert not output.exists()
    assert run(["report", pairs, "-o", str(output), "--skip-bad"]) == 0
    assert "Unreadable rows left out" in output.read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [["-o", "x.html"], ["missing.jsonl"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", *arguments]) == 2
    assert "Missing" in capsys.readouterr().err
