"""An evaluation folder as `evaluate -o` writes it, of any size, with judges, votes and a check."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

NEW, OLD = "new", "old"


def signal(
    kind: str, estimate: float | None, low: float | None, high: float | None, **more: Any
) -> dict[str, Any]:
    """Return a signal of `eval.json`."""
    return {
        "signal": kind,
        "name": "",
        "model": NEW,
        "against": OLD,
        "n": 300,
        "clusters": 40,
        "estimate": estimate,
        "low": low,
        "high": high,
        "level": 0.95,
        "unit": "share",
        "is_defined": low is not None,
        "method": "studentized bootstrap over clusters",
        "notes": [],
        "details": None,
        **more,
    }


SIGNALS = [
    signal("check", 0.71, 0.66, 0.76, against=None),
    signal("check", 0.062, 0.01, 0.114, unit="points", details={"gained": 40, "lost": 21}),
    signal(
        "judge",
        0.63,
        0.57,
        0.69,
        name="openai:judge-1",
        details={"consistency": 0.88, "first_wins": 0.52, "verdicts": 600, "unparsed": 3},
    ),
    signal("length-controlled judge", 0.57, 0.5, 0.64, details={"length_effect": 1.4}),
    signal(
        "elo",
        92.0,
        41.0,
        140.0,
        unit="elo",
        notes=["with two models Elo adds nothing to the win rate"],
    ),
    signal("people", 0.6, 0.46, 0.73, n=60),
    signal("blend", 0.61, 0.53, 0.69),
    signal("kpi", -3.2, -6.0, -0.4, unit="minutes", name="handling time"),
    signal("kpi", 4.0, None, None, unit="EUR", name="refunds", n=3, notes=["too few"]),
    signal(
        "seeds",
        0.055,
        0.02,
        0.09,
        unit="points",
        details={"means": [0.04, 0.06, 0.065], "deviation": 0.0132},
    ),
]


def facts(**more: Any) -> dict[str, Any]:
    """Return an `eval.json`."""
    return {
        "schema": 1,
        "prompts": {"source": "held-out.jsonl", "n": 300, "skipped": {}},
        "models": [
            {"name": NEW, "spec": "hf:run", "role": "candidate", "identity": "9f31"},
            {"name": OLD, "spec": "hf:base", "role": "baseline", "identity": "03bd"},
        ],
        "check": "python:yours:check",
        "judges": [
            {"name": "openai:judge-1", "rubric": "general", "language": "en", "warnings": []}
        ],
        "cluster": "template",
        "signals": SIGNALS,
        "guards": [
            {
                "name": "math",
                "model": NEW,
                "status": "holds",
                "estimate": 0.012,
                "lower": -0.02,
                "margin": 0.04,
                "level": 0.95,
                "n": 200,
                "unit": "points",
            }
        ],
        "verdict": "SHIP",
        "reason": "new wins 63.0 % against old by the judge (57.0 to 69.0)",
        "verdicts": {
            NEW: {
                "verdict": "SHIP",
                "reason": "new wins 63.0 % against old",
                "rests_on": "judge",
                "needed": None,
            }
        },
        "needed": None,
        "notes": [],
        "level": 0.95,
        "seed": 0,
        "cost": {"calls": 1200, "prompt_tokens": 410000, "completion_tokens": 96000, "usd": 0.29},
        **more,
    }


def items(count: int, *, words: int = 40, votes: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Return the rows of `items.jsonl`: the judge prefers longer answers, people hardly do.

    Args:
        count: prompts.
        words: of an answer, about.
        votes: prompts that people voted on.
        seed: of the drawing.
    """
    drawn = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for at in range(count):
        prompt = [
            {"role": "user", "content": f"Question {at}? " + "Why so? " * drawn.randrange(12)}
        ]
        base = [
            f"word{drawn.randrange(900)}" for _ in range(drawn.randrange(words // 2, 2 * words))
        ]
        edited = list(base)
        for _ in range(3):
            edited[drawn.randrange(len(edited))] = f"better{drawn.randrange(99)}"
        edited += ["more"] * drawn.randrange(words)
        texts = {NEW: " ".join(edited), OLD: " ".join(base)}
        place = {"id": f"p{at:05}"}
        for name, text in texts.items():
            right = drawn.random() < (0.7 if name == NEW else 0.62)
            rows.append(
                place
                | {
                    "kind": "answer",
                    "model": name,
                    "prompt": prompt,
                    "cluster": f"template {at % 7}",
                    "row": {"topic": ["billing", "returns"][at % 2]},
                    "answer": text,
                    "finish_reason": "stop",
                    "failed": False,
                    "score": float(right),
                    "right": right,
                }
            )
        chance = 1 / (1 + math.exp(-0.25 - (len(texts[NEW]) - len(texts[OLD])) / (4 * words)))
        wins = drawn.random() < chance
        for first in (NEW, OLD):
            score = float(wins) if drawn.random() < 0.9 else float(not wins)
            is_first = (score == 1.0) == (first == NEW)
            rows.append(
                place
                | {
                    "kind": "verdict",
                    "judge": "openai:judge-1",
                    "model": NEW,
                    "against": OLD,
                    "first": first,
                    "given": f"[[{'A' if is_first else 'B'}]]",
                    "verdict": "first" if is_first else "second",
                    "score": score,
                    "reason": None,
                    "asked": True,
                }
            )
        if at < votes:
            score = float(wins) if drawn.random() < 0.8 else 0.5
            rows.append(
                place
                | {"kind": "vote", "model": NEW, "against": OLD, "rater": "A", "score": score}
                | {"label": "a" if score == 1 else "b" if score == 0 else "tie"}
                | {"at": f"2026-01-01T00:{at // 60:02}:{at % 60:02}", "note": ""}
            )
    return rows


def write_evaluation(folder: Path, rows: list[dict[str, Any]] | None, **more: Any) -> str:
    """Write a folder; without rows there is no `items.jsonl`."""
    folder.mkdir(exist_ok=True)
    (folder / "eval.json").write_text(json.dumps(facts(**more)), encoding="utf-8")
    (folder / "items.jsonl").unlink(missing_ok=True)
    if rows is not None:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "items.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)
