"""What comes next: commands that exist, with options that they have, and what people do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from pilot_folders import ask_for, calibrated, judged, look, probed, put, remove

from clairkit.cli.main import cli
from clairkit.pilot.steps import Step, next_step, shown

SERVER = "openai:strong"


def step(folder: Path) -> Step:
    found = next_step(look(folder))
    assert found is not None
    check_words(found)
    return found


def check_words(found: Step) -> None:
    """Parse each command as the command line would."""
    for words in (*found.commands, *found.person_commands):
        command: click.Command | None = cli
        rest = list(words)
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), rest.pop(0))
        assert command is not None
        with click.Context(command) as context:
            command.make_parser(context).parse_args(rest)


def lines(folder: Path) -> list[str]:
    return [shown(words) for words in step(folder).commands]


def test_a_model_that_revises_is_probed_and_then_asked(folder: Path) -> None:
    ask_for(folder, reviser=SERVER, model="ORG/MODEL", build={"max_cost": 5})
    built = "clairkit build-pairs prompts.jsonl -o pairs.jsonl --target hf:ORG/MODEL"
    rest = "--reviser openai:strong --max-cost 5"
    assert lines(folder) == [f"{built} {rest} --probe"]
    remove(folder, "pairs.jsonl.manifest.jsonl")
    probed(folder, "healthy")
    assert lines(folder) == [f"{built} {rest}"]
    probed(folder, "undecided")
    assert step(folder).person == "revisions"
    probed(folder, "unhealthy")
    assert next_step(look(folder)) is None


def test_people_are_asked_and_their_labels_compared(folder: Path) -> None:
    remove(folder, "overrides.jsonl")
    ask_for(folder, labels={"ask": 30, "raters": ["Sato", "Ito"], "rubrics": ["concise", "safe"]})
    ask_for(folder, evaluate={"judge": SERVER})
    (page,) = lines(folder)
    assert page == (
        "clairkit label export pairs.jsonl -o labels.html --key labels.key.json --n 30 "
        "--raters Sato,Ito --language en --question accept"
    )
    put(folder, "labels.key.json", {})
    asked = step(folder)
    assert (asked.commands, asked.person) == ((), "labels")
    assert shown(asked.person_commands[0]) == (
        "clairkit label import labels/*.json --key labels.key.json -o labels_votes.jsonl "
        "--labels labels.jsonl"
    )
    assert "30 revisions" in asked.instruction(look(folder).pilot)
    (folder / "labels.jsonl").write_text("{}\n")
    assert lines(folder) == [
        "clairkit calibrate labels.jsonl -o calibration.json --judge openai:strong "
        "--rubric concise --rubric safe"
    ]


def test_pairs_are_verified_and_scored(folder: Path) -> None:
    remove(folder, "scored.jsonl")
    ask_for(folder, score={"tokenizer": "ORG/MODEL"})
    assert lines(folder) == [
        "clairkit verify pairs.jsonl",
        "clairkit score pairs.jsonl -o scored.jsonl --eval bills.jsonl "
        "--drop dead,empty,duplicate,near_duplicate,in_eval --tokenizer ORG/MODEL",
    ]


def test_each_seed_is_trained_and_goes_on_where_it_stopped(folder: Path) -> None:
    values: dict[str, Any] = {"seeds": [0, 1, 2], "runs": ["trained", "b", "c"]}
    ask_for(folder, model="ORG/MODEL", train={"config": "t.yaml", "beta": 0.2}, **values)
    (folder / "b" / "checkpoint-10").mkdir(parents=True)
    (folder / "c").mkdir()
    (folder / "c" / "config.yaml").write_text("x")
    named = "clairkit train --model ORG/MODEL --pairs scored.jsonl -o"
    assert lines(folder) == [
        f"{named} b --config t.yaml --set beta=0.2 --set seed=1 --resume",
        f"{named} c --config t.yaml --set beta=0.2 --set seed=2 --force",
    ]


def test_all_runs_are_evaluated_against_the_model_before(folder: Path) -> None:
    remove(folder, "eval")
    guards = [{"check": "python:x:y", "margin": 4}]
    ask_for(folder, model="ORG/MODEL", evaluate={"check": "python:x:y", "guards": guards})
    assert lines(folder) == [
        "clairkit evaluate bills.jsonl --model tuned=hf:trained --baseline base=hf:ORG/MODEL "
        '-o eval/ --check python:x:y --guards \'{"check": "python:x:y", "margin": 4}\''
    ]


def test_votes_are_asked_for_and_evaluated_with_the_rest(folder: Path) -> None:
    ask_for(folder, evaluate={"check": "python:x:y", "votes": "votes.jsonl"})
    judged(folder, "SHIP", signals=[])
    assert lines(folder)[0].startswith("clairkit label export eval -o votes.html")
    put(folder, "votes.key.json", {})
    assert step(folder).person == "votes"
    (folder / "votes.jsonl").write_text("{}\n")
    assert "--votes votes.jsonl" in lines(folder)[0]


@pytest.mark.parametrize(
    ("verdict", "person"), [("NEED MORE", "more"), ("SHIP", "decision"), ("HOLD", None)]
)
def test_after_the_evaluation(folder: Path, verdict: str, person: str | None) -> None:
    calibrated(folder, "rubric general")
    judged(folder, verdict)
    found = next_step(look(folder))
    assert (found and found.person) == person


def test_at_the_end_nothing_is_left(folder: Path) -> None:
    calibrated(folder, "rubric general")
    judged(folder, "SHIP")
    (folder / "decision.yaml").write_text("decision: go\nby: Sato\nwhy: it pays\n")
    assert next_step(look(folder)) is None
    assert look(folder).current is None
