"""The health card on a terminal and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clairkit.cli.build_pairs.result import exit_code, show_card
from clairkit.cli.main import run
from clairkit.cli.shared.console import Console
from clairkit.probe import Observation, ProbeResult, Thresholds, make_card, plant
from clairkit.probe.cases import ProbeCase
from clairkit.records import Message, PromptRow

SPENT = {"calls": 9, "tokens": {"prompt": 70, "completion": 30}, "cost": 0.25}


def result(good: int, bad: int, unfinished: int = 0) -> ProbeResult:
    row = PromptRow((Message(role="user", content="q"),), "It is so.", "r")
    case = ProbeCase("untouched", row, "[red]\x1b[31m")
    seen = [
        Observation(case, row.answer, text, None)
        for text in (*["It is so."] * good, *["It is."] * bad)
    ]
    fault = plant("negation", row.answer or "")
    assert fault is not None
    planted = replace(case, probe="fault", row=replace(row, answer=fault.text), fault=fault)
    seen += [Observation(planted, fault.text, fault.original, None)] * 30
    card = make_card(
        seen, about={"reviser": "x"}, spent=SPENT, thresholds=Thresholds(), unfinished=unfinished
    )
    paths = (Path(f"p.health{end}") for end in (".json", ".md", ".cases.jsonl", ".journal.sqlite"))
    return ProbeResult(card, *paths, is_written=True)


@pytest.mark.parametrize(
    ("good", "bad", "unfinished", "code"),
    [(30, 0, 0, 0), (0, 30, 0, 7), (22, 2, 0, 8), (30, 0, 1, 8), (0, 30, 1, 7)],
)
def test_exit_codes(good: int, bad: int, unfinished: int, code: int) -> None:
    assert exit_code(result(good, bad, unfinished)) == code


def test_what_people_see(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    show_card(Console(), result(22, 2), {}, "clairkit build-pairs …")
    shown, err = capsys.readouterr()
    for part in (
        "Reviser health: undecided",
        "91.7 %",
        "74.2-97.7",
        "Good answers by group",
        "[red]\\x1b[31m",
        "9 calls, 70 + 30 tokens, $0.25",
        "Card: p.health.md",
    ):
        assert part in shown
    assert err == ""


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_card(Console(as_json=True, quiet=True), result(24, 0, 3), {"bad_json": 2}, "again")
    shown, err = capsys.readouterr()
    found = json.loads(shown)
    assert (found["state"], found["open"], found["resume"]) == ("undecided", 3, "again")
    assert found["findings"]["untouched"]["verdict"] == "pass"
    assert (found["skipped"], found["files"]["card"]) == ({"bad_json": 2}, "p.health.json")
    assert err == ""


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"q{n}", "answer": f"a{n}"} for n in range(6)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return str(file)


def probing(prompts: str, function: str, *more: str) -> list[str]:
    output = str(Path(prompts).with_name("pairs.jsonl"))
    reviser = f"python:reviser_functions:{function}"
    return ["build-pairs", prompts, "-o", output, "--reviser", reviser, "--probe", *more]


def test_the_command(prompts: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(probing(prompts, "shout", "--probes", "4", "--json", "--quiet")) == 7
    shown = json.loads(capsys.readouterr().out)
    assert (shown["probe"], shown["state"], shown["rows"]) == (True, "unhealthy", {"pair": 4})
    assert shown["findings"]["untouched"]["n"] == 8
    assert shown["resume"] is None
    names = {path.name for path in Path(prompts).parent.iterdir() if "lock" not in path.name}
    assert names == {
        "prompts.jsonl",
        *(
            f"pairs.jsonl.health{end}"
            for end in (".json", ".md", ".cases.jsonl", ".journal.sqlite")
        ),
    }


def test_a_narrow_terminal(
    prompts: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert run(probing(prompts, "nothing", "--probes", "4")) == 7
    shown, err = capsys.readouterr()
    assert "planted faults mended\n" in shown
    assert "Planted faults mended: too few." in " ".join(shown.split())
    assert "Traceback" not in err


def test_a_probe_that_was_stopped_says_how_to_go_on(
    prompts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(probing(prompts, "shout", "--max-calls", "5")) == 4
    shown, err = capsys.readouterr()
    assert "cases are not done" in shown
    assert err.splitlines()[-1].startswith(f"clairkit build-pairs {prompts}")


def test_what_does_not_go_with_a_probe(prompts: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(probing(prompts, "shout", "--worsen")) == 2
    assert "Leave --worsen out" in capsys.readouterr().err
    assert run(probing(prompts, "shout", "--dry-run")) == 2
    assert run(probing(prompts, "shout", "--probes", "-1")) == 2
