"""Make the quickstart's folder a pilot: its file, its one override, and its memo."""

from __future__ import annotations

import json
from pathlib import Path

from clairkit.pilot.memo import make_memo
from clairkit.pilot.overrides import FILE as OVERRIDES
from clairkit.pilot.overrides import add_override
from clairkit.pilot.pilot_file import FILE, find_pilot
from clairkit.pilot.survey import survey
from clairkit.quickstart import stations
from clairkit.quickstart.held_out import CHECK, CHECK_SUM, GUARD, MARGIN
from clairkit.quickstart.stations import QuickstartPlan
from clairkit.records import atomic_write
from clairkit.records.json_types import JsonObject

MEMO = "memo.html"
FILES = (FILE, OVERRIDES, MEMO)
"""What a pilot adds to the folder."""
_RUBRIC = 3
_WHO = "clairkit quickstart"
_WHY = "The program is the task's own definition of a right bill; there are no people to ask."
_HEAD = "# The quickstart; `clairkit pilot init` writes a file in which each field is explained.\n"


def write_pilot(plan: QuickstartPlan, folder: Path) -> None:
    """Write `pilot.yaml`, with the numbers of the plan."""
    lines = "".join(
        f"{name}: {json.dumps(value, ensure_ascii=False)}\n"
        for name, value in _values(plan).items()
    )
    with atomic_write(folder / FILE) as file:
        file.write(f"{_HEAD}{lines}".encode())


def conclude_pilot(folder: Path) -> None:
    """Note why no person was asked, and write the memo."""
    pilot = find_pilot(str(folder))
    found = survey(pilot)
    gate = found.gates[_RUBRIC - 1]
    if found.is_open(gate):
        add_override(folder, gate, _WHO, _WHY)
        found = survey(pilot)
    with atomic_write(folder / MEMO) as file:
        file.write(make_memo(found, pilot.language).html.encode())


def _values(plan: QuickstartPlan) -> JsonObject:
    sampled = {"max_new_tokens": plan.sampling().max_new_tokens, "seed": plan.seed}
    asked = {**sampled, "batch_size": stations.BATCH_ROWS}
    guard = {
        "name": GUARD,
        "check": CHECK_SUM,
        "prompts": stations.SUMS,
        "margin": 100 * MARGIN,
    }
    settings = stations.training(plan)
    return {
        "title": "Quickstart: bills that keep the house rules",
        "decision": "An example: whether the trained model replaces the one that ships",
        "model": plan.model,
        "reviser": stations.REVISER,
        "prompts": stations.PROMPTS,
        "held_out": stations.BILLS,
        "seeds": [plan.seed],
        "runs": [stations.TRAINED],
        "build": asked,
        "score": {"tokenizer": plan.model},
        "train": {name: value for name, value in settings.items() if name != "seed"},
        "evaluate": {"check": CHECK, "guards": [guard], **asked},
    }
