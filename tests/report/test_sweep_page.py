"""The page of a sweep: the choice, the grid, halving, what died; in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import DataError
from clairkit.report.language import LANGUAGES, language
from clairkit.report.sweep_page import is_sweep, make_sweep_page


def setting(label: str, value: float, share: float = 1.0) -> dict[str, Any]:
    guard = {"name": "sums", "status": "holds", "estimate": 0.0, "lower": -0.01, "margin": 0.04}
    return {
        "pairs": "clair",
        "loss": label,
        "label": f"clair, {label}",
        "share": share,
        "estimate": value,
        "low": value - 0.05,
        "high": value + 0.05,
        "by_seed": [value],
        "guards": [guard],
    }


def trial(loss: str, changes: dict[float, float], died: Any = None) -> dict[str, Any]:
    rungs = [{"share": share, "change": each} for share, each in changes.items()]
    return {"name": loss, "pairs": "clair", "loss": loss, "rungs": rungs, "died_of": died}


def sweep(folder: Path, **changes: Any) -> Path:
    best, worse = setting("sft", 0.21), setting("ipo", -0.08, 0.25)
    source = {"source": "c.jsonl", "pairs": 12, "of_pairs": 20, "tokens": 90, "of_tokens": 99}
    row = {"source": "clair", "contrastiveness": 0.9, "cells": [best, worse, None]}
    died = {"kind": "out of memory", "reason": "<b>at</b> 9 MB"}
    found = {
        "schema": 1,
        "rungs": [0.25, 0.5, 1.0],
        "metric": {"file": "eval.yaml", "prompts": "held.jsonl"},
        "equal": "each source whole",
        "sources": {"clair": {**source, "contrastiveness": 0.9}},
        "factors": {"loss": ["sft", "ipo", "nca_pair"]},
        "trials": [
            trial("sft", {0.25: 0.1, 0.5: 0.15, 1.0: 0.21}),
            trial("ipo", {0.25: -0.08}),
            trial("nca_pair", {}, died),
        ],
        "table": [best, worse],
        "grid": {"columns": ["sft", "ipo", "nca_pair"], "rows": [row]},
        "choice": {"pairs": "clair", "loss": "sft"},
        "separable": True,
        "best": "clair, sft",
        "within_one_standard_error": ["clair, sft"],
        "command": "clairkit train --loss sft",
        "spent": {"steps": 30, "hours": 0.5, "usd": 1.0},
        **changes,
    }
    (folder / "sweep.json").write_text(json.dumps(found))
    return folder


@pytest.mark.parametrize("code", LANGUAGES)
def test_it_shows_the_choice_the_grid_halving_and_what_died(tmp_path: Path, code: str) -> None:
    words = language(code)
    page = make_sweep_page(sweep(tmp_path), words).html
    for text in ("clair, sft", "clairkit train --loss sft", "+21.0", "+16.0 … +26.0"):
        assert text in page
    assert words.say("sweep_choice", label="clair, sft") in page
    assert "-8.0 (25%)" in page
    assert "&lt;b&gt;at&lt;/b&gt; 9 MB" in page
    assert page.count("<svg") == 2
    assert len(re.findall('class="bar s0"', page)) == 1
    assert words.say("sweep_died") in page


def test_it_says_when_nothing_is_separable_or_no_guard_holds(tmp_path: Path) -> None:
    words = language("en")
    more = {"choice": None, "command": None, "separable": False}
    assert "Not separable" in make_sweep_page(sweep(tmp_path, **more), words).html
    none = {**more, "best": None, "within_one_standard_error": []}
    assert "No choice" in make_sweep_page(sweep(tmp_path, **none), words).html


def test_a_grid_has_no_lines_and_an_empty_sweep_no_heat_map(tmp_path: Path) -> None:
    words = language("en")
    assert make_sweep_page(sweep(tmp_path, rungs=[1.0]), words).html.count("<svg") == 1
    nothing = {"table": [], "trials": [], "grid": None, "choice": None, "best": None}
    assert "<svg" not in make_sweep_page(sweep(tmp_path, **nothing, rungs=[1.0]), words).html


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2}', '{"schema": 1}'])
def test_what_is_no_sweep_is_refused(tmp_path: Path, text: str) -> None:
    assert not is_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text(text)
    assert is_sweep(tmp_path)
    with pytest.raises(DataError, match=r"sweep\.json"):
        make_sweep_page(tmp_path, language("en"))
