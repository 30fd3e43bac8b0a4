"""Each gate on the files of a real run, and on what it may become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pilot_folders import ask_for, calibrated, change, gate, judged, look, probed, put, remove

from clairkit.errors import DataError
from clairkit.pilot.gates import UNCLEAN
from clairkit.scoring import FLAGS

SERVER = "openai:strong"


def figures(folder: Path, number: int) -> dict[str, Any]:
    """The evidence of a gate by name."""
    return {each.figure: each for each in look(folder).gates[number - 1].evidence}


@pytest.mark.slow
def test_a_real_run_passes_what_it_has_evidence_for(folder: Path) -> None:
    states = [each.state for each in look(folder).gates]
    assert [states[at] for at in (0, 1, 3, 4)] == ["passed"] * 4
    assert gate(folder, 3) == ("waiting", "program_unlabelled")
    assert gate(folder, 7) == ("waiting", "no_decision")


def test_every_figure_has_its_file_and_hash_and_every_estimate_n_and_interval(
    folder: Path,
) -> None:
    every = [figure for each in look(folder).gates for figure in each.evidence]
    assert len(every) > 10
    for figure in every:
        assert (folder / figure.file).is_file()
        assert len(figure.sha256) == 64
        if not figure.is_count:
            assert figure.n
            assert figure.level == 0.95
            assert figure.low is not None


# Prompts and expectations


def test_prompts_are_counted_and_compared(folder: Path) -> None:
    found = figures(folder, 1)
    assert [found[name].value for name in ("prompts", "held_out", "shared")] == [40, 24, 0]
    with (folder / "prompts.jsonl").open("ab") as file:
        file.write((folder / "bills.jsonl").read_bytes().splitlines(keepends=True)[0])
    assert gate(folder, 1) == ("failed", "shared")
    assert figures(folder, 1)["shared"].value == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"prompts": "none.jsonl"}, "no_prompts"),
        ({"held_out": "none.jsonl"}, "no_prompts"),
        ({"wanted": {"prompts": 41, "win_rate": 85}}, "few_prompts"),
        ({"wanted": {"prompts": 40, "win_rate": 60}}, "few_held_out"),
        ({"evaluate": {}}, "no_measure"),
        ({"evaluate": {"kpi": "kpi.yaml"}}, "no_file"),
        ({"title": ">>> what"}, "not_filled_in"),
    ],
)
def test_what_is_not_collected_yet(folder: Path, values: Any, reason: str) -> None:
    ask_for(folder, **values)
    assert gate(folder, 1) == ("waiting", reason)


@pytest.mark.parametrize(("rate", "needed"), [(55, 784), (60, 196), (65, 87), (70, 49)])
def test_the_win_rate_worth_having_says_how_many_prompts(
    folder: Path, rate: int, needed: int
) -> None:
    ask_for(folder, wanted={"prompts": 20, "win_rate": rate})
    assert look(folder).gates[0].values["least"] == str(needed)


def test_kpis_are_read_and_counted(folder: Path) -> None:
    kpi = "kpis: [{name: time, unit: min, direction: lower, mid: 1, source: 'python:yours:time'}]"
    (folder / "kpi.yaml").write_text(kpi)
    ask_for(folder, evaluate={"kpi": "kpi.yaml"})
    assert gate(folder, 1) == ("passed", "collected")
    assert figures(folder, 1)["kpis"].value == 1


# Revisions


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("healthy", ("passed", "usable_enough")),
        ("unhealthy", ("failed", "unhealthy")),
        ("undecided", ("waiting", "probe_undecided")),
    ],
)
def test_a_reviser_that_is_a_model_is_probed(
    folder: Path, state: str, found: tuple[str, str]
) -> None:
    ask_for(folder, reviser=SERVER)
    assert gate(folder, 2) == ("waiting", "not_probed")
    probed(folder, state)
    assert gate(folder, 2) == found
    assert figures(folder, 2)["untouched"].n == 40


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"rows": 400, "pairs": 150, "counts": {"no_op": 20}}, ("failed", "usable_low")),
        ({"rows": 40, "pairs": 33, "counts": {"refusal": 7}}, ("waiting", "usable_undecided")),
        ({"rows": 400, "pairs": 300, "counts": {"no_op": 60}}, ("passed", "usable_enough")),
        ({"rows": 400, "pairs": 300, "unfinished": 9}, ("waiting", "build_unfinished")),
    ],
)
def test_what_became_of_the_answers(
    folder: Path, entry: dict[str, Any], found: tuple[str, str]
) -> None:
    path = folder / "pairs.jsonl.manifest.jsonl"
    line = {**json.loads(path.read_text()), "counts": {}, "unfinished": 0, **entry}
    path.write_text(json.dumps(line) + "\n")
    assert gate(folder, 2) == found


def test_without_pairs(folder: Path) -> None:
    remove(folder, "pairs.jsonl.manifest.jsonl")
    assert gate(folder, 2) == ("waiting", "not_built")


# Rubric


def test_labels_then_a_calibration(folder: Path) -> None:
    ask_for(folder, evaluate={"judge": SERVER})
    assert gate(folder, 3) == ("waiting", "no_labels")
    (folder / "labels.jsonl").write_text("{}\n")
    assert gate(folder, 3) == ("waiting", "not_calibrated")
    calibrated(folder, "rubric general")
    assert gate(folder, 3) == ("passed", "rubric_agrees")
    assert figures(folder, 3)["agreement"].n == 120
    calibrated(folder, None)
    assert gate(folder, 3) == ("waiting", "not_separable")
    assert look(folder).gates[2].values["needed"] == "300"
    calibrated(folder, "rubric general", share=0.5)
    assert gate(folder, 3) == ("failed", "rubric_disagrees")


# Pairs


def test_pairs_are_those_of_the_manifest(folder: Path) -> None:
    with (folder / "pairs.jsonl").open("ab") as file:
        file.write(b"\n")
    assert gate(folder, 4) == ("failed", "changed")
    remove(folder, "scored.jsonl")
    assert gate(folder, 4) == ("waiting", "not_scored")


@pytest.mark.parametrize(
    ("scores", "wanted", "found"),
    [
        ({"flags": ["in_eval"]}, {}, ("failed", "unclean")),
        ({}, {"pairs": 100}, ("waiting", "few_pairs")),
        ({}, {"contrastiveness": 0.99}, ("failed", "contrast_low")),
    ],
)
def test_pairs_are_clean_and_contrastive(
    folder: Path, scores: Any, wanted: Any, found: tuple[str, str]
) -> None:
    path = folder / "scored.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows[0]["scores"] |= scores
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ask_for(folder, wanted={"prompts": 20, "win_rate": 85, "pairs": 20, **wanted})
    assert gate(folder, 4) == found


def test_unclean_is_what_score_flags() -> None:
    assert set(UNCLEAN) <= set(FLAGS)


# Training


def test_runs_and_their_diagnosis(folder: Path) -> None:
    assert figures(folder, 5)["moved"].name == "trained"
    problem = {"level": "problem", "title": "both sides fell"}
    change(folder, "trained/run.json", diagnosis={"findings": [problem]})
    assert gate(folder, 5) == ("failed", "training_problem")
    assert "both sides fell" in look(folder).gates[4].values["problems"]
    change(folder, "trained/run.json", diagnosis={}, signal=2)
    assert gate(folder, 5) == ("waiting", "training_interrupted")
    remove(folder, "trained/run.json")
    assert gate(folder, 5) == ("waiting", "not_trained")


@pytest.mark.parametrize(
    ("choice", "found"),
    [(None, ("waiting", "sweep_open")), ({"loss": "apo_zero"}, ("passed", "training_sound"))],
)
def test_a_sweep_is_read_where_there_is_one(
    folder: Path, choice: Any, found: tuple[str, str]
) -> None:
    put(folder, "sweep/sweep.json", {"schema": 1, "trials": [{}, {}], "choice": choice})
    assert gate(folder, 5) == found
    assert figures(folder, 5)["trials"].value == 2


# Evaluation


@pytest.mark.parametrize(
    ("verdict", "more", "found"),
    [
        ("SHIP", None, ("passed", "ship")),
        ("HOLD", None, ("failed", "hold")),
        ("NEED MORE", 240, ("waiting", "need_more")),
        ("NEED MORE", None, ("waiting", "need_more_open")),
    ],
)
def test_verdicts(folder: Path, verdict: str, more: int | None, found: tuple[str, str]) -> None:
    judged(folder, verdict, more=more)
    assert gate(folder, 6) == found
    assert {"judge", "people", "kpi", "guard"} <= set(figures(folder, 6))


def test_one_run_that_is_held_holds_all(folder: Path) -> None:
    ask_for(folder, seeds=[0, 1], runs=["trained", "other"])
    judged(folder, "SHIP")
    assert gate(folder, 6) == ("passed", "ship")
    path = folder / "eval/eval.json"
    verdicts = json.loads(path.read_text())["verdicts"]
    change(folder, "eval/eval.json", verdicts={**verdicts, "seed-1": {"verdict": "HOLD"}})
    assert gate(folder, 6) == ("failed", "hold")
    assert look(folder).gates[5].values["models"] == "seed-1"


def test_a_change_within_the_spread_between_seeds_is_not_enough(folder: Path) -> None:
    judged(folder, "SHIP")
    signals = json.loads((folder / "eval/eval.json").read_text())["signals"]
    for each in signals:
        if each["signal"] == "seeds":
            each["low"] = -0.01
    change(folder, "eval/eval.json", signals=signals)
    assert gate(folder, 6) == ("waiting", "seeds_undecided")


def test_what_spoils_an_evaluation(folder: Path) -> None:
    judged(folder, "SHIP", models=[{"name": "tuned", "trained_on": 3}])
    assert gate(folder, 6) == ("failed", "trained_on")
    judged(folder, "SHIP", verdicts={})
    assert gate(folder, 6) == ("waiting", "not_all_evaluated")
    judged(folder, "SHIP", schema=9)
    with pytest.raises(DataError, match="schema 1"):
        look(folder)
    remove(folder, "eval")
    assert gate(folder, 6) == ("waiting", "not_evaluated")


def test_a_figure_that_was_changed_by_hand_is_seen(folder: Path) -> None:
    path = folder / "eval/eval.json"
    path.write_bytes(path.read_bytes().replace(b'"n": 24', b'"n": 240'))
    assert gate(folder, 6) == ("failed", "changed")


def test_votes_that_are_wanted_are_waited_for(folder: Path) -> None:
    ask_for(folder, evaluate={"check": "python:yours:check", "votes": "votes.jsonl"})
    judged(folder, "SHIP", signals=[])
    assert gate(folder, 6) == ("waiting", "no_votes")


# Decision


def test_a_decision_is_a_file_that_a_person_writes(folder: Path) -> None:
    path = folder / "decision.yaml"
    path.write_text("decision: stop\nby: Sato\ndate: 2026-04-30\nwhy: too dear\n")
    assert gate(folder, 7) == ("passed", "decided_stop")
    assert look(folder).gates[6].values["date"] == "2026-04-30"
    path.write_text("decision: yes please\nby: Sato\nwhy: x\n")
    with pytest.raises(DataError, match="go or stop or more"):
        look(folder)


@pytest.mark.parametrize("name", ["eval/eval.json", "trained/run.json", "calibration.json"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{torn")
    with pytest.raises(DataError, match=name):
        look(folder)
