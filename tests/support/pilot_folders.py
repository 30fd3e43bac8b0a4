"""Folders of pilots: real ones of small runs, and what each gate may find in one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluations
from evaluations import signal

from clairkit.pilot.pilot_file import FILE, find_pilot
from clairkit.pilot.survey import Survey, survey
from clairkit.records.formats.yaml_file import load_yaml

SMALL = {"prompts": 40, "held_out": 24, "epochs": 1}
"""A quickstart of a few seconds."""

# What the small run is asked for, so that its gates can pass.
WANTED = {"prompts": 20, "win_rate": 85, "pairs": 20}

Change = Callable[[Any], Any]


def ask_for(folder: Path, **values: Any) -> None:
    """Write fields of `pilot.yaml` anew: those that are there, and further ones."""
    path = folder / FILE
    known = load_yaml(path.read_text(encoding="utf-8"))
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in {**known, **values}.items()]
    path.write_text("".join(lines), encoding="utf-8")


def look(folder: Path) -> Survey:
    """Return what a pilot's files show."""
    return survey(find_pilot(str(folder)))


def gate(folder: Path, number: int) -> tuple[str, str]:
    """Return state and reason of a gate."""
    found = look(folder).gates[number - 1]
    return found.state, found.reason


def put(folder: Path, name: str, value: Any) -> None:
    """Write a JSON file."""
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def change(folder: Path, name: str, **values: Any) -> None:
    """Change top-level values of a JSON file."""
    put(folder, name, {**json.loads((folder / name).read_text(encoding="utf-8")), **values})


def remove(folder: Path, *names: str) -> None:
    """Remove files and what stands below folders."""
    for name in names:
        path = folder / name
        for each in sorted(path.rglob("*"), reverse=True) if path.is_dir() else []:
            each.unlink() if each.is_file() else each.rmdir()
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def judged(folder: Path, verdict: str, *, more: int | None = None, **values: Any) -> None:
    """Write an evaluation of every kind of signal, with a verdict on each candidate."""
    names = find_pilot(str(folder)).candidates
    told = {"verdict": verdict, "reason": verdict, "rests_on": "judge"}
    told["needed"] = None if more is None else {"signal": "judge", "more": more}
    facts = evaluations.facts(verdict=verdict, verdicts=dict.fromkeys(names, told))
    facts["signals"] = [
        {**each, "model": "tuned", "against": each["against"] and "base"}
        for each in [*evaluations.SIGNALS, pays()]
    ]
    facts["guards"] = [{**each, "model": "tuned"} for each in facts["guards"]]
    facts["models"] = [
        {"name": name, "cut": 3, "failures": {"timeout": 2}, "trained_on": 0} for name in names
    ]
    remove(folder, "eval")
    put(folder, "eval/eval.json", {**facts, **values})


def pays(months: float | None = 4.2, high: float | None = 9.7) -> dict[str, Any]:
    """Return the utility of all KPIs, with a break-even."""
    known = {"months": months, "low": 2.8, "high": high, "once": 12400.0, "monthly": 150.0}
    details = {"break_even": {**known, "value_of_mid": 900.0, "currency": "EUR"}}
    return signal("kpi", 2.1, 0.8, 3.4, name="utility", unit="MID", details=details)


def calibrated(folder: Path, chosen: str | None, share: float = 0.82, n: int = 120) -> None:
    """Write a calibration."""
    agreement = {"n": n, "share": share, "low": share - 0.07, "high": share + 0.06}
    rivals = [{"name": "always accept", "labels_needed": None if chosen else 300}]
    put(
        folder,
        "calibration.json",
        {"labels": n, "chosen": chosen, "choosing": agreement, "lead_of_the_best": rivals}
        | {"calls": 480, "tokens": {"prompt": 90_000, "completion": 40_000}},
    )


def probed(folder: Path, state: str) -> None:
    """Write a health card."""
    verdict = {"healthy": "pass", "unhealthy": "fail"}.get(state, "undecided")
    line = {"hits": 38, "n": 40, "share": 0.95, "low": 0.84, "high": 0.99}
    finding = {"label": "good answers left untouched", **line, "threshold": 0.75}
    card = {
        "state": state,
        "findings": {"untouched": {**finding, "verdict": verdict}, "fixed": {"n": 0}},
        "spent": {"calls": 90, "tokens": {"prompt": 20_000, "completion": 9_000}, "cost": 0.31},
    }
    put(folder, "pairs.jsonl.health.json", card)
