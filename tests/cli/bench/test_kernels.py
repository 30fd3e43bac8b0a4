"""`clairkit bench --suite kernels` and the bare entry: options, exit codes, files, output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from kernel_fakes import add_fakes, run_here

from clairkit.bench.kernels import __main__ as kernels
from clairkit.bench.kernels import suite as kernel_suite
from clairkit.bench.kernels import worker as kernel_worker
from clairkit.cli.main import run

POINT = "quick-frozen-fp32-62"
LINE = ["bench", "--suite", "kernels", "--case", POINT, "--rounds", "1"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processes and peers are fakes; files go to a folder of their own."""
    add_fakes(monkeypatch)
    monkeypatch.setattr(kernel_suite, "run_apart", run_here)
    monkeypatch.setattr(kernel_worker, "limit_memory", lambda device: None)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_processes_of_their_own_from_start_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*LINE, "--peers", "", "--json", "k.json", "--plot", "k.svg"]) == 0
    captured = capsys.readouterr()
    document = json.loads(Path("k.json").read_text(encoding="utf-8"))
    (point,) = document["points"]
    assert {result["status"] for result in point["results"]} == {"ok"}
    assert len({result["memory"]["baseline_bytes"] for result in point["results"]}) > 1
    for result in point["results"]:
        assert result["variant"] in captured.out
        assert result["memory"]["extra_bytes"] > 0
    assert ElementTree.parse("k.svg").getroot().tag.endswith("svg")
    assert f"[1/1] {POINT}" in captured.err


@pytest.mark.usefixtures("here")
def test_a_failed_check_exits_with_7(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LINE, "--peers", "right,wrong,away", "--json", "--quiet"]) == 7
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["parity_failed"] == [f"{POINT}: wrong"]
    assert "parity failed, 1 in all" in captured.err
    assert document["absent"] == {"away": "away-kernels is not installed"}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("width", ["20", "120"])
def test_tables_stand_at_any_width(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert run([*LINE, "--peers", "wrong,greedy,away", "--quiet"]) == 7
    out = capsys.readouterr().out
    assert "PARITY FAILED" in out
    assert "OOM" in out
    assert "away: absent" in out
    assert max(map(len, out.splitlines())) <= int(width)


@pytest.mark.usefixtures("here")
def test_markdown_and_resuming(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LINE, "--peers", "right", "--json", "k.json", "--quiet"]) == 0
    capsys.readouterr()
    again = [*LINE, "--peers", "right", "--json", "k.json", "--resume", "--markdown"]
    assert run(again) == 0
    captured = capsys.readouterr()
    assert "there already" in captured.err
    assert captured.out.count("|---|") == 1


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--suite", "kernels", "--case", "v9*"], "no such case"),
        (["--suite", "kernels", "--peers", "nobody"], "no such peer"),
        (["--suite", "kernels", "--kernel", "torch"], "--kernel is an option of --suite step"),
        (["--suite", "kernels", "--resume"], "Add --json FILE"),
        (["--suite", "kernels", "--plot", "../k.svg"], "leads out of the current directory"),
        (["--suite", "kernels", "--variant", "trl"], "--variant is an option of --suite step"),
        (["--budget-minutes", "3"], "--budget-minutes is an option of --suite kernels"),
        (["--kernel", "fortran"], "There are auto, "),
    ],
)
def test_wrong_usage(line: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", *line]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.usefixtures("here")
def test_the_bare_entry(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--device", "cpu", "--case", POINT, "--rounds", "1", "--peers"]
    assert kernels.main([*line, "right", "--json", "k.json", "--plot", "made/k.svg"]) == 0
    assert "bare 4" in capsys.readouterr().out
    assert Path("made/k.svg").exists()
    assert kernels.main(["--from", "k.json", "--summary"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(POINT)
    assert kernels.main(["--from", "k.json", "--markdown"]) == 0
    assert "|---|" in capsys.readouterr().out
    assert kernels.main([*line, "wrong", "--summary"]) == 7
    assert f"PARITY FAILED: {POINT}: wrong" in capsys.readouterr().out
    assert kernels.main([*line, "nobody"]) == 2
    assert "no such peer" in capsys.readouterr().err


def gpu_script(out: Path, **choices: str) -> subprocess.CompletedProcess[str]:
    """Run the script on a CPU, on tiny points."""
    script = Path(__file__).resolve().parents[3] / "bench" / "gpu.sh"
    fixed = {"DEVICE": "cpu", "QUICK": "1", "OUT": str(out), "PYTHON": sys.executable}
    return subprocess.run(
        ["bash", script],
        env=os.environ | fixed | choices,
        cwd=out.parent,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_gpu_script_on_a_cpu(tmp_path: Path) -> None:
    done = gpu_script(tmp_path / "out", PEERS="quack,torch", COMMIT="abc", READY="300", LIMIT="600")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "out" / "kernels-cpu.json").read_text())
    (point,) = document["points"]
    assert point["case"]["name"] == "quick-full-bf16-62"
    assert {one["status"] for one in point["results"]} == {"ok"}
    assert document["absent"] == {"quack": "quack-kernels is not installed"}
    assert document["settings"]["apart"]
    table = (tmp_path / "out" / "kernels-cpu.txt").read_text()
    assert done.stdout.endswith(table)
    assert "not all well" not in table
    ElementTree.parse(tmp_path / "out" / "kernels-cpu.svg")


@pytest.mark.slow
def test_the_gpu_script_tells_what_was_not_ready(tmp_path: Path) -> None:
    done = gpu_script(tmp_path / "out", PEERS="torch", READY="0.001")
    assert done.returncode == 5
    table = (tmp_path / "out" / "kernels-cpu.txt").read_text()
    assert "quick-full-bf16-62: torch compiled: NOT READY, float64 reference: not done" in table
    assert "not all well: tiny point (code 5)" in table


@pytest.mark.slow
def test_the_gpu_script_without_a_result_fails(tmp_path: Path) -> None:
    done = gpu_script(tmp_path, PEERS="nobody")
    assert done.returncode == 5
    assert "no such peer" in done.stderr
