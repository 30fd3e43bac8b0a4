"""`clairkit bench`: the smallest case end to end, exit codes, where the JSON goes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from clairkit.bench.measure.timing import Peak
from clairkit.bench.results import CaseResult, VariantResult
from clairkit.bench.step import suite as step
from clairkit.bench.step.parity import Parity
from clairkit.cli.main import run

FINE = Parity(0.0, 0.0, 0.0, 0.0, "a")
PEAK = Peak(10**6, 10**8, "VmHWM after a reset")


@pytest.mark.slow
def test_the_smallest_case_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    line = ["bench", "--case", "tiny", "--repeats", "1", "--quiet"]
    assert run([*line, "--json", "out.json"]) == 0
    captured = capsys.readouterr()
    assert max(map(len, captured.out.splitlines())) <= 80
    found = json.loads(Path("out.json").read_text(encoding="utf-8"))
    (case,) = found["cases"]
    assert [entry["variant"] for entry in case["results"]] == [
        "plain",
        "plain trimmed",
        "clairkit",
        "clairkit large parts",
        "clairkit unshared",
        "clairkit padded",
    ]
    for entry in case["results"]:
        assert entry["status"] == "ok"
        assert len(entry["seconds"]) == 1
        assert entry["memory"]["extra_bytes"] > 0
        assert entry["variant"] in captured.out
    assert case["gradient_bytes"] == 689408  # every parameter of the case, float32
    assert [entry["over"] for entry in case["speed_ups"]] == [
        "plain",
        "plain trimmed",
        "clairkit large parts",
        "clairkit unshared",
        "clairkit padded",
    ]
    assert "clairkit over plain" in captured.out


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, VariantResult]:
    """Stands in for the measurement: by variant, its result."""
    planted: dict[str, VariantResult] = {}

    def measure_case(case: Any, variants: Any, _settings: Any) -> CaseResult:
        fine = {name: VariantResult(name, "ok", (1.0, 2.0), PEAK, FINE) for name in variants}
        found = tuple(planted.get(name, fine[name]) for name in variants)
        return CaseResult(case, found, variants[0], 5)

    monkeypatch.setattr(step, "measure_case", measure_case)
    return planted


def test_a_failed_check_exits_with_7_and_shows_no_ratio(
    measured: dict[str, VariantResult], capsys: pytest.CaptureFixture[str]
) -> None:
    measured["clairkit"] = VariantResult("clairkit", "PARITY FAILED", problem="off")
    assert run(["bench", "--case", "tiny", "--json", "--quiet"]) == 7
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["parity_failed"] == ["tiny: clairkit"]
    (ours,) = (entry for entry in found["cases"][0]["results"] if entry["variant"] == "clairkit")
    assert ours["time_ratio"] is None
    assert found["cases"][0]["speed_ups"] == []
    assert "parity failed, 1 in all: tiny: clairkit. " in captured.err


@pytest.mark.parametrize("width", ["20", "80"])
def test_tables_stand_at_any_width(
    width: str,
    measured: dict[str, VariantResult],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    measured["clairkit"] = VariantResult("clairkit", "PARITY FAILED", problem="off")
    assert run(["bench", "--quick", "--quiet"]) == 7
    out = capsys.readouterr().out
    assert "PARITY FAILED" in out
    assert max(map(len, out.splitlines())) <= int(width)


def test_out_of_memory_keeps_the_others(
    measured: dict[str, VariantResult], capsys: pytest.CaptureFixture[str]
) -> None:
    measured["plain trimmed"] = VariantResult("plain trimmed", "OOM", problem="killed")
    assert run(["bench", "--case", "tiny"]) == 4
    captured = capsys.readouterr()
    assert "plain trimmed: OOM, killed" in captured.out
    assert "1.00x" in captured.out
    assert "not measured, 1 in all: tiny: plain trimmed" in captured.err


def test_nothing_measured_is_a_lack_of_resources(
    measured: dict[str, VariantResult], capsys: pytest.CaptureFixture[str]
) -> None:
    names = (
        "plain",
        "plain trimmed",
        "clairkit",
        "clairkit large parts",
        "clairkit unshared",
        "clairkit padded",
        "clairkit torch",
    )
    for name in names:
        measured[name] = VariantResult(name, "OOM", problem="killed")
    assert run(["bench", "--case", "tiny", "--kernel", "torch"]) == 5
    assert "nothing could be measured" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--markdown"]])
@pytest.mark.usefixtures("measured")
def test_json_alone_is_on_stdout(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--case", "tiny", *option, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["suite"] == "step"
    assert "clairkit unshared" in captured.err


@pytest.mark.usefixtures("measured")
def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--quick", "--markdown", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("| `") == 3
    assert captured.out.count("- `small`: clairkit over ") == 5


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["--case", "huge"], 2, "There are tiny, small"),
        (["--suite", "nothing"], 2, "Invalid value"),
        (["--peers", "liger"], 2, "There are trl, plain"),
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


def test_a_peer_that_is_not_installed_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "trl" else found(name, *rest),
    )
    assert run(["bench", "--case", "tiny", "--peers", "trl"]) == 2
    assert "pip install 'trl>=" in capsys.readouterr().err
