"""`clairkit bench`: the smallest case end to end, exit codes, where the JSON goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clairkit.bench import step
from clairkit.bench.isolate import Outcome
from clairkit.bench.measure import Peak
from clairkit.bench.parity import Parity
from clairkit.bench.results import VariantResult
from clairkit.cli.main import run

FINE = Parity(0.0, 0.0, 0.0, 0.0, "a")
PEAK = Peak(10**6, 10**8, "VmHWM after a reset")


def test_the_smallest_case_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    line = ["bench", "--case", "tiny", "--repeats", "1", "--kernel", "torch", "--quiet"]
    assert run([*line, "--json", "out.json"]) == 0
    captured = capsys.readouterr()
    assert max(map(len, captured.out.splitlines())) <= 80
    found = json.loads(Path("out.json").read_text(encoding="utf-8"))
    (case,) = found["cases"]
    assert [entry["variant"] for entry in case["results"]] == [
        "plain", "plain trimmed", "clairkit torch"]  # fmt: skip
    for entry in case["results"]:
        assert entry["status"] == "ok"
        assert len(entry["seconds"]) == 1
        assert entry["memory"]["extra_bytes"] > 0
        assert entry["variant"] in captured.out
    assert case["gradient_bytes"] == 689408  # every parameter of the case, float32


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stands in for the processes: by variant, a result, or the outcome of its memory run."""
    planted: dict[str, Any] = {}

    def run_apart(task: Any, case: Any, which: Any, _settings: Any, **_: Any) -> Outcome:
        if task is step.measure_memory:
            found = planted.get(which)
            return found if isinstance(found, Outcome) else Outcome((PEAK, 5))
        default = {name: VariantResult(name, "ok", (1.0, 2.0), None, FINE) for name in which}
        return Outcome({name: planted.get(name, default[name]) for name in which})

    monkeypatch.setattr(step, "run_apart", run_apart)
    return planted


def test_a_failed_check_exits_with_7_and_shows_no_ratio(
    measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    measured["clairkit torch"] = VariantResult("clairkit torch", "PARITY FAILED", problem="off")
    assert run(["bench", "--case", "tiny", "--json", "--quiet"]) == 7
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["parity_failed"] == ["tiny: clairkit torch"]
    assert found["cases"][0]["results"][-1]["time_ratio"] is None
    assert "parity failed, 1 in all: tiny: clairkit torch" in captured.err


@pytest.mark.parametrize("width", ["20", "80"])
def test_tables_stand_at_any_width(
    width: str,
    measured: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    measured["clairkit torch"] = VariantResult("clairkit torch", "PARITY FAILED", problem="off")
    assert run(["bench", "--quick", "--quiet"]) == 7
    out = capsys.readouterr().out
    assert "PARITY FAILED" in out
    assert max(map(len, out.splitlines())) <= int(width)


def test_out_of_memory_keeps_the_others(
    measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    measured["plain trimmed"] = Outcome(problem="killed", out_of_memory=True)
    assert run(["bench", "--case", "tiny"]) == 4
    captured = capsys.readouterr()
    assert "plain trimmed: OOM, killed" in captured.out
    assert "1.00x" in captured.out
    assert "not measured, 1 in all: tiny: plain trimmed" in captured.err


def test_nothing_measured_is_a_lack_of_resources(
    measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("plain", "plain trimmed", "clairkit torch"):
        measured[name] = Outcome(problem="killed", out_of_memory=True)
    assert run(["bench", "--case", "tiny", "--kernel", "torch"]) == 5
    assert "nothing could be measured" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--markdown"]])
@pytest.mark.usefixtures("measured")
def test_json_alone_is_on_stdout(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--case", "tiny", *option, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["suite"] == "step"
    assert "clairkit torch" in captured.err


@pytest.mark.usefixtures("measured")
def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--quick", "--markdown", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("| `") == 3


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["--case", "huge"], 2, "There are tiny, small"),
        (["--suite", "nothing"], 2, "Invalid value"),
        (["--repeats", "0"], 2, "Invalid value"),
        (["--json", "../out.json"], 2, "leads out of the current directory"),
    ],
)
def test_wrong_usage(
    line: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *line]) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
