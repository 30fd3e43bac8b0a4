"""What run.json keeps of a diagnosis is told again in another language, or stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clairkit.runs.diagnosis import RunFacts, diagnose, retold


def moving(chosen: float, rejected: float, count: int = 24) -> list[dict[str, Any]]:
    """Rows of a run whose sides end at these rewards."""
    found = []
    for step in range(1, count + 1):
        ours, theirs = chosen * step / count, rejected * step / count
        found.append(
            {
                "step": step,
                "loss": 1 - step / 100,
                "rewards/chosen": ours,
                "rewards/rejected": theirs,
                "rewards/margins": ours - theirs,
                "rewards/accuracies": 0.9,
                "logratio/chosen_edited": 0.2,
                "lengths/chosen_edited": 4.0,
                "logratio/chosen_shared": -0.2,
                "lengths/chosen_shared": 100.0,
                "kl/rejected": 0.3,
            }
        )
    return found


@pytest.mark.parametrize(
    ("rows", "loss"),
    [
        (moving(1.0, -1.0), "apo_zero"),
        (moving(-1.8, -4.0), "sigmoid"),
        (moving(-1.8, -4.0), "apo_down"),
        (moving(0.5, 0.2), "sft"),
        (moving(-1.0, 1.0), "apo_zero"),
        (moving(0.0, 0.0), "apo_zero"),
        (moving(1.0, -1.0, 3), "apo_zero"),
    ],
)
def test_what_run_json_keeps_is_told_in_japanese(rows: Any, loss: str) -> None:
    facts = RunFacts(loss, 0.1, 1e-6, {"clair": 90}, {"rows": 100, "truncated": 20, "too_long": 3})
    found = diagnose(rows, facts)
    kept = json.loads(json.dumps(found.to_dict()))
    assert retold(kept, "en").lines == found.lines
    japanese = retold(kept, "ja")
    assert [item.kind for item in japanese.findings] == [item.kind for item in found.findings]
    for item in japanese.findings:
        assert item.text.endswith("。")
        assert "{" not in item.text
        assert item.text != item.title
    assert japanese.headline.endswith("。")


@pytest.mark.parametrize(
    "said",
    [
        None,
        "x",
        {"key": "none", "values": {}},
        {"key": "loss_rose", "values": {}},
        {"key": "loss_rose", "values": {"start": 3}},
        {"key": ["loss_rose"], "values": []},
    ],
)
def test_what_cannot_be_told_again_stays_as_it_is(said: Any) -> None:
    item = {"kind": "k", "title": "a title", "text": "A text.", "level": "odd", "said": said}
    found = retold({"headline": "A headline.", "findings": [item]}, "ja")
    assert found.headline == "A headline."
    assert [(each.text, each.level) for each in found.findings] == [("A text.", "note")]
