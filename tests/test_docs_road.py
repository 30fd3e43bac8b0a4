"""The road on the front page, command by command, with a small model and a program as reviser."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from house import ROOT

from clairkit.cli.main import cli
from clairkit.quickstart import MODEL

README = (ROOT / "README.md").read_text(encoding="utf-8")
STAND_INS = {
    "YOUR/MODEL": str(MODEL),
    "openai:gpt-4o": "python:clairkit.quickstart:revise",
}


def write_rows(path: Path, first: int) -> None:
    """Write prompts that the model can answer, with a column that the check reads."""
    rows = [
        {"prompt": f"Bill: {n} pens at 6, 3 mugs at 7", "expected": str(6 * n + 21)}
        for n in range(first, first + 8)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.mark.slow
def test_the_road_of_the_front_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yours.py").write_text(
        re.findall(r"```python\n# yours\.py\n(.*?)```", README, re.S)[0]
    )
    write_rows(tmp_path / "prompts.jsonl", 1)
    write_rows(tmp_path / "held-out.jsonl", 20)
    road = README.split("Then, one command a station:")[1].split("```")[1]
    lines = [line for line in road.splitlines() if line.startswith("clairkit ")]
    assert len(lines) == 5
    for line in lines:
        for word, stand_in in STAND_INS.items():
            line = line.replace(word, stand_in)
        cli.main(shlex.split(line)[1:], standalone_mode=False)
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
