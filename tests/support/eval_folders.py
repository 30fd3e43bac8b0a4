"""Folders as `evaluate` writes them, for tests of what reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_evaluation(
    folder: Path, answers: Mapping[str, Iterable[str]], baseline: str | None = "old"
) -> Path:
    """Write a folder with the answers of each model to prompts p000, p001, …; return it."""
    folder.mkdir(exist_ok=True)
    models = [
        {"name": name, "spec": f"hf:made/{name}-7b", "role": role_of(name, baseline)}
        for name in answers
    ]
    (folder / "eval.json").write_text(json.dumps({"schema": 1, "models": models}))
    rows: list[dict[str, Any]] = []
    for at, texts in enumerate(zip(*answers.values(), strict=True)):
        prompt = [{"role": "user", "content": f"Question {at}?"}]
        rows += (
            {"kind": "answer", "id": f"p{at:03}", "model": name, "prompt": prompt, "answer": text}
            for name, text in zip(answers, texts, strict=True)
        )
        rows.append({"kind": "verdict", "id": f"p{at:03}", "model": "new", "against": "old"})
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def role_of(name: str, baseline: str | None) -> str:
    """Return the role of a model."""
    return "baseline" if name == baseline else "candidate"
