"""Measure a trained model by `clairkit evaluate`, and read what that found prompt by prompt."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from clairkit.errors import DataError
from clairkit.evaluation.folder import EVAL, ITEMS, journal_base
from clairkit.journal.results import journal_path
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.statistics.win_rate import Verdict, prompt_scores
from clairkit.sweep.spec import SweepSpec

BASE, NEW = "base", "trial"


def evaluate_words(spec: SweepSpec, model: str, output: Path) -> list[str]:
    """Return the arguments that measure a model against the base.

    The base against itself asks only the base, once: one model under two names.

    Args:
        spec: with prompts, metric and guards.
        model: folder or Hub id.
        output: folder of the evaluation.
    """
    words = ["evaluate", spec.prompts, "--config", spec.metric]
    words += ["--model", f"{NEW}=hf:{model}", "--baseline", f"{BASE}=hf:{spec.base['model']}"]
    for guard in spec.guards:
        words += ["--guards", yaml.safe_dump(guard, default_flow_style=True, width=10**6).strip()]
    return [*words, "-o", f"{output}/"]


def share_answers(source: Path, target: Path) -> None:
    """Begin an evaluation with the replies of another one, so that the base isn't asked again.

    Args:
        source: folder of the evaluation of the base.
        target: folder of a new one; where it has replies already, it keeps them.
    """
    before, after = (journal_path(journal_base(folder)) for folder in (source, target))
    if after.exists():
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    fresh = after.with_suffix(".partial")
    with closing(sqlite3.connect(before)) as old, closing(sqlite3.connect(fresh)) as new:
        old.backup(new)
    fresh.rename(after)


def measured(folder: Path) -> JsonObject:
    """Return what an evaluation found of a trial, as the study keeps it.

    `changes` has the change of each prompt by its id: of the check, else of the judges (the win
    score minus 1/2).

    Raises:
        DataError: no prompt has a score.
    """
    found = json.loads((folder / EVAL).read_text(encoding="utf-8"))
    with (folder / ITEMS).open(encoding="utf-8") as file:
        items = [json.loads(line) for line in file]
    answers = [row for row in items if row["kind"] == "answer"]
    is_check = found["check"] is not None
    changes = _checked(answers) if is_check else _judged(items)
    if not changes:
        raise DataError("no prompt has a score of the metric", path=folder / ITEMS)
    clusters = {row["id"]: row["cluster"] for row in answers if row["cluster"] is not None}
    return {
        "metric": "check" if is_check else "judge",
        "changes": changes,
        "clusters": clusters,
        "guards": [_guard(each) for each in found["guards"]],
        "usd": found["cost"]["usd"] or 0.0,
    }


def _checked(answers: Sequence[JsonMapping]) -> dict[str, float]:
    right = {(row["model"], row["id"]): float(row["right"]) for row in answers}
    return {
        prompt: value - right[BASE, prompt]
        for (model, prompt), value in right.items()
        if model == NEW
    }


def _judged(items: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    verdicts = [
        Verdict(row["id"], row["judge"], row["first"] == row["model"], row["score"])
        for row in items
        if row["kind"] == "verdict"
    ]
    return {str(prompt): score - 0.5 for prompt, score in prompt_scores(verdicts).items()}


def _guard(row: JsonMapping) -> JsonObject:
    kept = ("name", "estimate", "lower", "level", "margin", "n", "clusters", "unit")
    return {key: row[key] for key in kept}
