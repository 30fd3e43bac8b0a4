"""`clairkit quickstart`: what it says before it runs, what it shows and returns afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run
from clairkit.quickstart import stations

FEW = {"prompts": 24, "held_out": 16, "epochs": 1}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every plan a short one: what is tested here is the command, not the gain."""
    plan = stations.QuickstartPlan
    monkeypatch.setattr(stations, "QuickstartPlan", lambda seed: plan(seed=seed, **FEW))


def test_help_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quickstart", "--help"]) == 0
    out = capsys.readouterr().out
    assert "no network and no GPU" in " ".join(out.split())
    for option in ("--output", "--seed", "--force", "--json", "--quiet"):
        assert option in out


@pytest.mark.usefixtures("few")
def test_the_table_and_the_way_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run"
    assert run(["quickstart", "-o", str(output)]) == 0
    captured = capsys.readouterr()
    for text in ("KPI: right bills", "Guard: right sums", "peak memory", "clairkit train"):
        assert text in captured.out
    for station in ("1/5 ", "2/5 ", "3/5 ", "4/5 ", "5/5 "):
        assert station in captured.err
        assert station not in captured.out


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_json_is_the_summary_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert run(["quickstart", "-o", str(output), "--seed", "3", "--json", "--quiet"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert found == json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert found["plan"]["seed"] == 3
    assert found["kpi"]["after"]["n"] == found["guard"]["after"]["n"] == FEW["held_out"]


def test_it_does_not_write_over_a_folder_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert run(["quickstart", "-o", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_a_second_time_makes_the_same_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["quickstart", "-o", str(tmp_path / "run"), "--json", "--quiet"]
    results = []
    for _ in range(2):
        assert run(arguments) == 0
        found = json.loads(capsys.readouterr().out)
        results.append({key: found[key] for key in ("kpi", "guard", "parts", "pairs", "training")})
    assert results[0] == results[1]
    (tmp_path / "run" / "mine.txt").write_text("mine")
    assert run(arguments) == 2
    assert "write into it with --force" in capsys.readouterr().err.replace("Write", "write")
