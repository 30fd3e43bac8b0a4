"""Stands in for `clairkit train` and `clairkit evaluate` in a sweep: real processes, no model.

`python -m fake_trials train|evaluate …`. What a trial is worth stands in its configuration (`beta`
is its share of right answers); `loss` says how it dies. Every start is noted in starts.txt.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import yaml

STEPS = 20
PROMPTS = 120
_DEATHS = {
    "hinge": "Error: out of memory while training, at a peak of 9 MB. In this order: …",
    "ipo": "Error: the loss is nan: it is not finite. Lower the learning rate",
    "robust": "Error: run can't be written: no room; 12 bytes are free there",
}


def _after(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def _draw(*key: object) -> float:
    return random.Random(hashlib.sha256(repr(key).encode()).digest()).random()


def train(words: list[str]) -> int:
    values = yaml.safe_load(Path(_after(words, "--config")).read_text())
    run = Path(_after(words, "-o"))
    run.mkdir(parents=True, exist_ok=True)
    done = [int(each.name.partition("-")[2]) for each in run.glob("checkpoint-*")]
    step = max(done, default=0) if "--resume" in words else 0
    share = float(_after(words, "--stop-at")) if "--stop-at" in words else 1.0
    _note(f"train {run.parent.name} {share:g} {step}")
    if values["loss"] in _DEATHS and values["seed"] == 1:
        sys.stderr.write(f"working\n{_DEATHS[values['loss']]}\n")
        return 5
    if values["loss"] == "exo_pair":
        os.kill(os.getpid(), 9)
    while step < share * STEPS:
        step += 5
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
        (run / f"checkpoint-{step}").mkdir(exist_ok=True)
    (run / "right.json").write_text(json.dumps([values["beta"], values["seed"], run.parent.name]))
    sys.stdout.write(json.dumps({"steps": step}) + "\n")
    return 0


def evaluate(words: list[str]) -> int:
    folder = Path(_after(words, "-o"))
    model = Path(_after(words, "--model").partition("=hf:")[2])
    _note(f"evaluate {folder.parent.name} {model.name}")
    folder.mkdir(parents=True, exist_ok=True)
    if os.environ.get("FAKE_REMOTE"):
        sys.stderr.write("Error: the server refuses the key\n")
        return 6
    sqlite3.connect(folder / "eval.json.journal.sqlite").close()
    place = model if (model / "right.json").exists() else model.parent
    share, seed, name = 0.4, 0, ""
    if (place / "right.json").exists():
        share, seed, name = json.loads((place / "right.json").read_text())
        reached = (
            int(model.name.partition("-")[2] or STEPS) if "checkpoint" in model.name else STEPS
        )
        share = 0.4 + (share - 0.4) * (reached / STEPS) ** 0.5
    with (folder / "items.jsonl").open("w") as file:
        for number in range(PROMPTS):
            hard = _draw("prompt", number)
            for who, right in (
                ("base", 0.7 * hard + 0.3 * _draw("base", number) < 0.4),
                ("trial", 0.7 * hard + 0.3 * _draw(name, seed, number) < share),
            ):
                row: dict[str, Any] = {"kind": "answer", "id": f"{number:03d}", "model": who}
                file.write(json.dumps({**row, "cluster": None, "right": right}) + "\n")
    lower = -0.01 if share >= 0.4 else -0.5
    guard = {"name": "sums", "estimate": lower + 0.01, "lower": lower, "level": 0.95}
    guard |= {"margin": 0.04, "n": 100, "clusters": 100, "unit": "points"}
    found = {"check": "python:x:y", "guards": [guard], "cost": {"usd": 0.5}}
    (folder / "eval.json").write_text(json.dumps(found))
    sys.stdout.write("{}\n")
    return 0


def _note(text: str) -> None:
    with Path(os.environ["FAKE_STARTS"]).open("a") as file:
        file.write(f"{text} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    sys.exit({"train": train, "evaluate": evaluate}[command](rest))
