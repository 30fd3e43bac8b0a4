"""`clairkit doctor`: every piece, its remedy, and what happens when pieces are broken."""

from __future__ import annotations

import json
import sys

import pytest

from clairkit import doctor
from clairkit.cli.main import run
from clairkit.extras import install_command
from clairkit.kernels import available_backends


@pytest.fixture
def findings() -> dict[str, doctor.MachineFinding]:
    return {finding.name: finding for finding in doctor.examine()}


def test_a_sound_machine_is_usable(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "clairkit is usable here." in out
    for name in ("torch", "cpu", "simd", "memory", "disk", "native", "OPENAI_API_KEY", "Hub"):
        assert any(
            name in line and line.split()[0] in ("ok", "warning", "missing")
            for line in out.splitlines()
        )


def test_json_holds_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json", "--quiet"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert found["usable"] is True
    names = {entry["name"] for entry in found["findings"]}
    assert {"python", "clairkit", "torch", "transformers", "accelerate", "datasets"} <= names
    assert {"[dev]", "[peft]", "[trl]", *available_backends()} <= names
    assert {entry["status"] for entry in found["findings"]} <= {"ok", "warning", "missing"}


def test_what_is_missing_has_a_remedy(findings: dict[str, doctor.MachineFinding]) -> None:
    lacking = [finding for finding in findings.values() if finding.status != "ok"]
    assert [finding.name for finding in lacking if not finding.remedy] == []


@pytest.mark.parametrize("module", ["torch", "transformers", "datasets", "yaml", "packaging"])
def test_a_broken_core_piece(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)  # importing it fails from now on
    assert run(["doctor", "--json"]) == 5
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["usable"] is False
    broken = [entry for entry in found["findings"] if entry["core"] and entry["status"] != "ok"]
    assert len(broken) == 1
    assert broken[0]["remedy"].split()[0] in ("pip", "install")
    assert "Error: clairkit cannot work here" in captured.err
    assert "Traceback" not in captured.err


def test_an_old_package_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = doctor.importlib.metadata.version
    monkeypatch.setattr(
        doctor.importlib.metadata,
        "version",
        lambda name: "5.3.0" if name == "transformers" else versions(name),
    )
    found = {finding.name: finding for finding in doctor.examine()}["transformers"]
    assert (found.status, found.remedy) == ("warning", "pip install 'transformers<6,>=5.12'")
    assert "5.3.0, made for" in found.detail


def test_an_absent_extra_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: "" if name == "trl" else "1.0")
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["[trl]"].status == "missing"
    assert found["[trl]"].remedy == install_command("trl")
    assert found["[peft]"].detail == "peft 1.0"
    assert not doctor.broken(list(found.values()))


def test_a_native_module_that_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clairkit.kernels._native", None)
    found = {finding.name: finding for finding in doctor.examine()}["native module"]
    assert found.status == "missing"
    assert "C compiler" in found.remedy


def test_variables_are_named_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "correct-horse-battery"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://user:hunter2hunter2@host/v1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["OPENAI_API_KEY"].detail == "set"
    assert found["OPENAI_BASE_URL"].detail == "set"
    assert found["HF_TOKEN"].detail.startswith("not set")
    assert (found["Hub"].status, found["Hub"].remedy) == ("warning", "unset HF_HUB_OFFLINE")
    assert run(["doctor"]) == 0
    captured = capsys.readouterr()
    for word in (secret, "hunter2", "user:"):
        assert word not in captured.out + captured.err


def test_little_memory_and_disk_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LEAST_MEMORY", 10**6)
    monkeypatch.setattr(doctor, "_LEAST_DISK", 10**9)
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["memory"].status == found["disk"].status == "warning"


def test_lines_fit_twenty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 20 and len(line.split()) > 1] == []
