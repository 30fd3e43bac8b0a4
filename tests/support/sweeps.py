"""Make sweeps of stand-in trials: a model's folder, pairs, sweep.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from killed_runs import make_pairs
from tiny import make_llama, make_tokenizer

from clairkit.records import PromptRow, write_pairs, write_rows
from clairkit.sweep import SweepSpec, read_sweep
from clairkit.sweep.process import Processes

SUPPORT = Path(__file__).parent


def fake_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Processes:
    """Return processes that run the stand-ins, whose starts are noted in starts.txt."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    monkeypatch.setenv("FAKE_STARTS", str(folder / "starts.txt"))
    return Processes("fake_trials")


def starts(folder: Path) -> list[str]:
    """Return what was started, a line each."""
    return (folder / "starts.txt").read_text().splitlines()


def write_inputs(folder: Path) -> None:
    """Write a model, two sources of pairs, prompts and a metric."""
    make_llama().save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    write_pairs(folder / "one.jsonl", make_pairs(12))
    write_pairs(folder / "two.jsonl", make_pairs(20))
    rows = [PromptRow(({"role": "user", "content": f"ask {n}"},)).to_json() for n in range(6)]
    write_rows(folder / "prompts.jsonl", iter(rows))
    (folder / "eval.yaml").write_text('check: "python:clairkit.quickstart:check"\n')


def sweep_values(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return the values of a sweep.yaml of two sources, two strengths and two seeds."""
    values = {
        "base": {"model": str(folder / "model"), "loss": "apo_zero", "use_cpu": True},
        "pairs": {"one": str(folder / "one.jsonl"), "two": str(folder / "two.jsonl")},
        "factors": {"beta": [0.42, 0.8]},
        "seeds": [0, 1],
        "prompts": str(folder / "prompts.jsonl"),
        "metric": str(folder / "eval.yaml"),
    }
    return {key: each for key, each in {**values, **changes}.items() if each is not None}


def make_spec(folder: Path, **changes: Any) -> SweepSpec:
    """Write sweep.yaml and read it."""
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep_values(folder, **changes), sort_keys=False))
    return read_sweep(file)
