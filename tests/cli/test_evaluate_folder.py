"""`clairkit evaluate -o EVAL/` with judges of known truth: figures, verdict, resume, exit codes."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_forks import CommandForks
from moments import Moment

from clairkit.cli.main import run

N = 120


def judged(*judges: str, new: str = "new") -> list[str]:
    named = ["--model", f"new=python:eval_functions:{new}"]
    base = ["--baseline", "old=python:eval_functions:old"]
    flags = [part for judge in judges for part in ("--judge", f"python:eval_functions:{judge}")]
    return ["evaluate", "prompts.jsonl", *named, *base, *flags]


def write_prompts(folder: Path, count: int = N) -> None:
    rows = ({"id": f"p{n:03}", "prompt": f"say {n}", "n": n, "t": n // 4} for n in range(count))
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_prompts(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1] / "support"), *sys.path])
    return tmp_path


def evaluated(*arguments: str, code: int = 0) -> dict[str, Any]:
    assert run([*arguments, "-o", "EVAL/", "--quiet"]) == code
    found: dict[str, Any] = json.loads(Path("EVAL/eval.json").read_text())
    return found


def items(kind: str) -> list[dict[str, Any]]:
    rows = map(json.loads, Path("EVAL/items.jsonl").read_text().splitlines())
    return [row for row in rows if row["kind"] == kind]


def signal(found: dict[str, Any], kind: str, name: str = "") -> dict[str, Any]:
    named = [each for each in found["signals"] if each["signal"] == kind and name in each["name"]]
    return dict(named[-1])


def test_a_perfect_judge_agrees_with_the_check(folder: Path) -> None:
    found = evaluated(*judged("perfect"), "--check", "python:eval_functions:check")
    answers = {(row["id"], row["model"]): row["right"] for row in items("answer")}
    truth = [(1 + answers[f"p{n:03}", "new"] - answers[f"p{n:03}", "old"]) / 2 for n in range(N)]
    win = signal(found, "judge")
    assert win["estimate"] == pytest.approx(sum(truth) / N)
    assert win["low"] < win["estimate"] < win["high"]
    assert win["details"]["consistency"] == 1
    assert win["details"]["first_wins"] == pytest.approx(0.5)
    assert (win["details"]["verdicts"], win["details"]["unparsed"]) == (2 * N, 0)
    # Of the verdicts for the better one, those in which it stood first say "much".
    assert win["details"]["much_better"] == pytest.approx(truth.count(1) / N / 2)
    change = signal(found, "check")
    assert change["unit"] == "points"
    assert change["estimate"] == pytest.approx(2 * win["estimate"] - 1)
    assert (found["verdict"], found["schema"]) == ("SHIP", 1)
    assert found["cost"]["calls"] == 4 * N
    rows = items("verdict")
    assert len(rows) == 2 * N
    assert {row["score"] for row in rows} == {0, 0.5, 1}
    assert {row["first"] for row in rows} == {"new", "old"}
    assert all(row["asked"] for row in rows)


def test_a_judge_that_says_first_claims_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(*judged("always_first"), "--require-gain", code=8)
    win = signal(found, "judge")
    assert (win["estimate"], win["is_defined"], win["low"]) == (0.5, False, None)
    assert (win["details"]["consistency"], win["details"]["first_wins"]) == (0, 1)
    assert found["verdict"] == "NEED MORE"
    assert "shown first wins 100 %" in found["reason"]
    assert "consistent 0 %, first wins 100 %" in " ".join(capsys.readouterr().out.split())


def test_verdicts_that_cannot_be_read_are_not_dropped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(*judged("mumbles"), "--require-gain", code=8)
    details = signal(found, "judge")["details"]
    unread = [row for row in items("verdict") if row["verdict"] is None]
    assert details["unparsed"] == len(unread) > 0.05 * 2 * N
    assert {row["reason"] for row in unread} == {"function_error"}
    assert unread[0]["given"] == "well, both have their merits"
    known = {(row["id"], row["first"]): row["score"] for row in items("verdict")}
    ends = [
        sum(end if score is None else score for score in known.values()) / len(known)
        for end in (0, 1)
    ]
    assert [details["worst"], details["best"]] == pytest.approx(ends)
    assert found["verdict"] == "NEED MORE"
    assert found["verdicts"]["new"]["because"]["code"] == "unread"
    assert f"{len(unread)} of {2 * N} verdicts" in capsys.readouterr().err
    # A judge that measured nothing is no success, whether a gain is asked for or not.
    assert evaluated(*judged("mumbles"), code=8) == found
    assert "look at the replies" in capsys.readouterr().err.lower()


def test_longer_answers_alone_win_nothing(folder: Path) -> None:
    found = evaluated(*judged("by_length", new="longer"))
    assert signal(found, "judge")["low"] > 0.5
    assert signal(found, "length-controlled judge")["low"] < 0.5
    assert found["verdict"] != "SHIP"


def test_equal_answers_tie_and_are_not_asked(folder: Path) -> None:
    found = evaluated(*judged("perfect", new="same"))
    assert not any(row["asked"] for row in items("verdict"))
    win = signal(found, "judge")
    assert (win["estimate"], win["details"]["not_asked"]) == (0.5, N)
    assert win["details"]["consistency"] is None
    assert found["verdict"] == "NEED MORE"


def test_clusters_widen_the_interval(folder: Path) -> None:
    alone = signal(evaluated(*judged("perfect")), "judge")
    together = signal(evaluated(*judged("perfect"), "--cluster", "t"), "judge")
    assert (alone["clusters"], together["clusters"]) == (N, N // 4)
    assert together["estimate"] == alone["estimate"]
    assert together["low"] != alone["low"]
    assert run([*judged("perfect"), "--cluster", "no"]) == 3


def test_a_second_judge_pays_for_its_own_calls_only(folder: Path) -> None:
    first = evaluated(*judged("perfect"))
    assert first["cost"]["calls"] == 4 * N
    both = evaluated(*judged("perfect", "always_first"))
    assert both["cost"]["calls"] == 6 * N
    assert len(Path("asked").read_text().splitlines()) == 4 * N
    assert both["signals"][0] == first["signals"][0]
    pooled = signal(both, "judge", "all judges")
    assert pooled["estimate"] == pytest.approx((first["signals"][0]["estimate"] + 0.5) / 2)


def test_what_was_made_can_be_verified(folder: Path) -> None:
    evaluated(*judged("perfect"))
    assert run(["verify", "EVAL/eval.json"]) == 0
    with Path("EVAL/items.jsonl").open("a") as file:
        file.write("{}\n")
    assert run(["verify", "EVAL/eval.json"]) == 3


def test_three_models_have_an_elo(folder: Path) -> None:
    found = evaluated(
        *judged("perfect"), "--model", "more=python:eval_functions:longer", "--all-pairs"
    )
    elos = {each["model"]: each for each in found["signals"] if each["signal"] == "elo"}
    assert set(elos) == {"new", "more"}
    assert elos["new"]["estimate"] > elos["more"]["estimate"]
    met = {(row["model"], row["against"]) for row in items("verdict")}
    assert met == {("new", "old"), ("more", "old"), ("new", "more")}
    assert found["verdicts"].keys() == {"new", "more"}


def test_a_configuration_holds_the_same_options(folder: Path) -> None:
    flags = evaluated(*judged("perfect"), "--cluster", "t")
    shutil.rmtree("EVAL")
    Path("eval.yaml").write_text(
        "model: [new=python:eval_functions:new]\nbaseline: old=python:eval_functions:old\n"
        "judge: python:eval_functions:perfect\ncluster: t\n"
    )
    assert evaluated("evaluate", "prompts.jsonl", "--config", "eval.yaml") == flags


def test_a_dry_run_asks_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*judged("perfect"), "-o", "EVAL/", "--dry-run", "--json"]) == 0
    roles = json.loads(capsys.readouterr().out)["roles"]
    calls = {role: each["calls"]["estimate"] for role, each in roles.items()}
    assert calls == {"old": N, "new": N, "judge python:eval_functions:perfect": 2 * N}
    assert not Path("asked").exists()
    assert not Path("EVAL").exists()


def test_a_cap_stops_and_the_same_command_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*judged("perfect"), "-o", "EVAL/", "--quiet"]
    assert run([*command, "--max-calls", "100"]) == 4
    said = capsys.readouterr().err
    assert "--max-calls 100 is reached: 100 calls so far" in said
    way_on = said.splitlines()[-1]
    assert way_on.endswith("--max-calls 200")
    assert len(Path("asked").read_text().splitlines()) == 100
    assert run(shlex.split(way_on)[1:]) == 4
    assert len(Path("asked").read_text().splitlines()) == 200
    assert run(command) == 0
    assert len(Path("asked").read_text().splitlines()) == 4 * N


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--judge", "python:eval_functions:perfect"], "--judge compares with a baseline"),
        ([], "nothing says which answers are good"),
        (["--check", "python:eval_functions:check", "--model", "a=hf:x"], "neither a folder here"),
    ],
)
def test_what_is_refused(
    folder: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["evaluate", "prompts.jsonl", "--model", "python:eval_functions:new", *more]
    assert run(given) == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_others_is_not_written_into(folder: Path) -> None:
    Path("EVAL").mkdir()
    Path("EVAL/mine.txt").write_text("keep")
    assert run([*judged("perfect"), "-o", "EVAL"]) == 2
    assert run([*judged("perfect"), "-o", "EVAL", "--force", "--quiet"]) == 0
    assert Path("EVAL/mine.txt").read_text() == "keep"


def test_the_tuned_model_at_the_same_path_is_asked_anew(folder: Path) -> None:
    import torch
    from tiny import make_llama, make_tokenizer

    model = folder / "model"
    make_tokenizer().save_pretrained(model)
    command = ["evaluate", "prompts.jsonl", "--model", f"hf:{model}", "--limit", "4"]
    command += ["--check", "python:eval_functions:check", "--max-new-tokens", "8"]
    answers = []
    for seed in (1, 2):
        network = make_llama()
        torch.manual_seed(seed)
        torch.nn.init.normal_(network.lm_head.weight)
        network.save_pretrained(model)
        evaluated(*command)
        answers.append([row["answer"] for row in items("answer")])
        shutil.copytree("EVAL", f"EVAL-{seed}")
    assert answers[0] != answers[1]
    shutil.rmtree("EVAL")
    evaluated(*command)
    assert [row["answer"] for row in items("answer")] == answers[1]


def test_a_judge_of_the_candidates_family_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "clairkit.evaluation.families.family_of", lambda spec: None if "old" in spec else "gpt"
    )
    found = evaluated(*judged("perfect"))
    assert "of the same family as new" in capsys.readouterr().err
    assert "same family as new" in found["judges"][0]["warnings"][0]
    monkeypatch.setattr(
        "clairkit.evaluation.families.family_of",
        lambda spec: "gpt" if "new" in spec or "perfect" in spec else None,
    )
    both = evaluated(*judged("perfect", "always_first"))
    preference = both["signals"][0]["details"]["self_preference"]
    assert preference["estimate"] == pytest.approx(both["signals"][0]["estimate"] - 0.5)


# Kill -9


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandForks]:
    with CommandForks(tmp_path_factory.mktemp("said")) as started:
        yield started


def _told(folder: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """Return `eval.json`, and the items without what a clock said."""
    items = [json.loads(line) for line in (folder / "items.jsonl").open()]
    assert all((each.pop("seconds") is None) != each.get("asked", True) for each in items)
    return (folder / "eval.json").read_bytes(), items


@pytest.mark.slow
@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.long)])
def test_killed_runs_end_as_an_undisturbed_one(
    kills: int, forks: CommandForks, tmp_path: Path
) -> None:
    guards = (
        '{check: "python:eval_functions:check", prompts: guard.jsonl, margin: 9}',
        '{name: tone, judge: "python:eval_functions:perfect", prompts: guard.jsonl, margin: 9}',
    )
    command = [*judged("perfect", "noisy"), "-o", "EVAL/", "--concurrency", "4", "--quiet"]
    command += [part for guard in guards for part in ("--guards", guard)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for place in (whole, killed):
        place.mkdir()
        write_prompts(place, 40)
        rows = (place / "prompts.jsonl").read_text().splitlines(keepends=True)
        (place / "guard.jsonl").write_text("".join(rows[:10]).replace('"id": "p', '"id": "g'))
    undisturbed = forks.run(whole, command)
    assert undisturbed.code == 0, undisturbed.said
    kinds = Counter(row["kind"] for row in _told(whole / "EVAL")[1])
    assert kinds == {"answer": 80, "verdict": 160, "guard_answer": 40, "guard_verdict": 20}
    points = len(undisturbed.seen)
    assert points > 40
    asked_once = Counter((whole / "asked").read_text().splitlines())
    ended = []
    for turn in range(kills):
        point = 1 + turn * max(1, points // kills) % points
        found = forks.run(killed, command, Moment(point))
        ended.append(found.is_killed)
        end = forks.run(killed, command)
        assert end.code == 0, end.said
        assert _told(killed / "EVAL") == _told(whole / "EVAL")
        asked = Counter((killed / "asked").read_text().splitlines())
        # 4 calls of each of 5 models are in flight, as many wait for the commit that was killed.
        assert asked.keys() == asked_once.keys()
        assert (asked - asked_once).total() <= 2 * 4 * 5
        shutil.rmtree(killed / "EVAL")
        (killed / "asked").unlink()
    assert sum(ended) >= 0.8 * kills
