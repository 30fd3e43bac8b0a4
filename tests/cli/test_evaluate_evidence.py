"""`clairkit evaluate` with people's votes, KPIs, guards and seeds: one table, one verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_cases import row, toward, write_votes

from clairkit.cli.main import run
from clairkit.labels import Key, read_key

N = 80
MODELS = ["--model", "new=python:eval_functions:new", "--baseline", "old=python:eval_functions:old"]
PERFECT = ["--judge", "python:eval_functions:perfect"]
CHECK = ["--check", "python:eval_functions:check"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write("prompts.jsonl", tmp_path, 0, N)
    write("guard.jsonl", tmp_path, 500, 40)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1] / "support"), *sys.path])
    return tmp_path


def write(name: str, folder: Path, start: int, count: int) -> None:
    numbers = range(start, start + count)
    rows = ({"id": f"p{n:03}", "prompt": f"say {n}", "n": n} for n in numbers)
    (folder / name).write_text("".join(json.dumps(each) + "\n" for each in rows))


def evaluated(*more: str, code: int = 0) -> dict[str, Any]:
    assert run(["evaluate", "prompts.jsonl", *MODELS, *more, "-o", "EVAL/", "--quiet"]) == code
    found: dict[str, Any] = json.loads(Path("EVAL/eval.json").read_text())
    return found


def signals(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{each['signal']} {each['name']}".strip(): each for each in found["signals"]}


def asked() -> int:
    return len(Path("asked").read_text().splitlines())


def right(key: Key, item: int) -> str:
    """Vote for what is right."""
    good = ["right" in text for text in (key.items[item].a, key.items[item].b)]
    return "tie" if good[0] == good[1] else "a" if good[0] else "b"


def voted(n: int, say: Callable[[Key, int], str] = right) -> str:
    """Draw items of the evaluation, let a rater vote, and return the file of votes."""
    assert (
        run(["label", "export", "EVAL", "-o", "l.html", "--n", str(n), "--force", "--quiet"]) == 0
    )
    key = read_key("l.key.json")
    rows = []
    for shown in key.raters["rater"]:
        said = say(key, shown.item)
        rows.append(row(key, shown, said if said == "tie" else toward(shown, said)))
    write_votes(Path("votes.json"), key, rows, "rater")
    arguments = ["votes.json", "--key", "l.key.json", "-o", "votes.jsonl", "--force", "--quiet"]
    assert run(["label", "import", *arguments]) == 0
    return "votes.jsonl"


def test_from_an_evaluation_to_votes_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(*PERFECT)
    before = asked()
    found = evaluated(*PERFECT, "--votes", voted(30))
    assert asked() == before  # votes cost no call
    rows = signals(found)
    people, blend = rows["people"], rows["blend"]
    assert people["n"] == 30
    assert blend["is_defined"]
    assert blend["details"]["labels"] == 30
    # The judge says what people say, so that it is worth many labels.
    assert blend["details"]["worth"] > 45
    assert people["details"]["with_judge"]["agreement"] == 1.0
    votes = [
        each
        for each in map(json.loads, Path("EVAL/items.jsonl").read_text().splitlines())
        if each["kind"] == "vote"
    ]
    assert len(votes) == 30
    assert sum(each["score"] for each in votes) / 30 == pytest.approx(people["estimate"])
    assert (votes[0]["model"], votes[0]["against"], votes[0]["rater"]) == ("new", "old", "rater")
    assert found["verdicts"]["new"]["rests_on"] == "blend"
    capsys.readouterr()


def test_votes_on_other_answers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(*PERFECT)
    votes = voted(20)
    others = ["--model", "x=python:eval_functions:longer", "--baseline", MODELS[3]]
    arguments = ["evaluate", "prompts.jsonl", *others, *PERFECT, "--votes", votes]
    assert run(arguments) == 3
    assert "no vote is on the answers of these models" in capsys.readouterr().err


KPI = """\
kpis:
  - {name: words, unit: words, direction: lower, mid: 0.5, source: "python:kpi_functions:words"}
  - name: minutes
    unit: min
    direction: lower
    mid: 1
    source: {file: log.csv, column: minutes, cluster: prompt}
guards:
  - {kpi: minutes, margin: 2}
costs: {currency: EUR, api: 100}
value_of_mid: 50
"""


def write_kpi() -> None:
    Path("kpi.yaml").write_text(KPI)
    Path("kpi_functions.py").write_text(
        "def words(prompt, answer, row):\n    return len(answer.split()) - row['n'] % 2\n"
    )
    lines = ["prompt,arm,minutes"]
    for n in range(N):
        lines += [f"p{n:03},old,{10 + n % 7}", f"p{n:03},new,{9 + n % 5} min"]
    Path("log.csv").write_text("\n".join(lines) + "\n")


def test_kpis_decide_by_their_utility(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_kpi()
    monkeypatch.syspath_prepend(".")
    found = evaluated("--kpi", "kpi.yaml")
    rows = signals(found)
    change = sum((9 + n % 5) - (10 + n % 7) for n in range(N)) / N
    assert rows["kpi minutes"]["estimate"] == pytest.approx(change)
    assert rows["kpi words"]["estimate"] == 0
    utility = rows["kpi utility"]
    assert utility["estimate"] == pytest.approx(-change)
    months = utility["details"]["break_even"]["months"]
    assert months == pytest.approx(100 / (50 * -change))
    (guard,) = found["guards"]
    assert (guard["name"], guard["status"], guard["unit"]) == ("minutes", "holds", "min")
    assert found["verdicts"]["new"]["rests_on"] == "kpi"
    capsys.readouterr()


def test_a_guard_is_asked_on_its_own_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    guard = '{name: other, check: "python:eval_functions:check", prompts: guard.jsonl, margin: 30}'
    own = '{name: same, judge: "python:eval_functions:perfect", margin: "30 %"}'
    found = evaluated(*CHECK, "--guards", guard, "--guards", own)
    rows = {each["name"]: each for each in found["guards"]}
    assert (rows["other"]["n"], rows["same"]["n"]) == (40, N)
    assert {each["status"] for each in found["guards"]} == {"holds"}
    assert rows["other"]["margin"] == 0.3
    assert found["prompts"]["n"] == N
    items = [*map(json.loads, Path("EVAL/items.jsonl").read_text().splitlines())]
    checked = [row for row in items if (row["kind"], row.get("guard")) == ("guard_answer", "other")]
    right = [
        sum(row["right"] for row in checked if row["model"] == name) for name in ("new", "old")
    ]
    told = next(each for each in found["guards"] if each["name"] == "other")
    assert len(checked) == 2 * 40
    assert (right[0] - right[1]) / 40 == pytest.approx(told["estimate"])
    assert sum(row["kind"] == "guard_verdict" for row in items) == 2 * N
    before = asked()
    assert evaluated(*CHECK, "--guards", guard, "--guards", own) == found
    assert asked() == before
    capsys.readouterr()


def test_no_gain_buys_a_guard_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("guard_functions.py").write_text(
        "def is_old(prompt, answer, row):\n    return answer.endswith('old')\n"
    )
    monkeypatch.syspath_prepend(".")
    guard = '{name: tone, check: "python:guard_functions:is_old", margin: 5}'
    arguments = ["evaluate", "prompts.jsonl", *MODELS, *CHECK, "--guards", guard]
    assert run([*arguments, "--require-gain"]) == 7
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert "Guard violated for new: tone changed by -100.0 points" in text
    assert "HOLD: guard violated: tone" in text


def test_runs_of_one_configuration_have_a_spread(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "clairkit.evaluation.evidence.same_configuration", lambda specs: [tuple(specs)]
    )
    more = ["--model", "again=python:eval_functions:same"]
    found = evaluated(*more, *CHECK, *PERFECT)
    rows = signals(found)
    shares = {
        each["model"]: each["estimate"]
        for each in found["signals"]
        if each["signal"] == "check" and each["unit"] == "points"
    }
    seeds = rows["seeds check"]
    assert seeds["model"] == "new, again"
    assert seeds["details"]["means"] == pytest.approx(shares)
    assert seeds["notes"][-1] == "smaller than the spread between seeds"
    assert rows["seeds judge"]["estimate"] == pytest.approx(seeds["estimate"] / 2)


def test_run_directories_that_differ_in_their_seeds(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from tiny import make_llama, make_tokenizer

    models = []
    for seed, loss in ((0, "apo_zero"), (1, "apo_zero"), (2, "apo_zero"), (0, "sft")):
        folder = place / f"{loss}-{seed}"
        network = make_llama()
        torch.manual_seed(seed)
        torch.nn.init.normal_(network.lm_head.weight)
        network.save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
        (folder / "config.yaml").write_text(f"loss: {loss}\npairs: p.jsonl\nseed: {seed}\n")
        models += ["--model", f"{folder.name}=hf:{folder}"]
    base = ["--baseline", MODELS[3], "--max-new-tokens", "4", "--limit", "6"]
    check = ["--check", "python:eval_functions:has_vowel"]
    assert run(["evaluate", "prompts.jsonl", *models, *base, *check, "-o", "EVAL/", "--quiet"]) == 0
    found = json.loads(Path("EVAL/eval.json").read_text())
    (seeds,) = (each for each in found["signals"] if each["signal"] == "seeds")
    assert seeds["model"] == "apo_zero-0, apo_zero-1, apo_zero-2"
    changes = {
        each["model"]: each["estimate"]
        for each in found["signals"]
        if each["signal"] == "check" and each["unit"] == "points"
    }
    assert seeds["details"]["means"] == {
        name: pytest.approx(changes[name]) for name in seeds["details"]["means"]
    }
    capsys.readouterr()


def test_guards_in_a_configuration_and_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("eval.yaml").write_text(
        "guards:\n  - {check: 'python:eval_functions:check', prompts: guard.jsonl, margin: 30}\n"
    )
    assert run(["evaluate", "prompts.jsonl", *MODELS, *CHECK, "--dry-run", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    arguments = ["evaluate", "prompts.jsonl", *MODELS, *CHECK, "--config", "eval.yaml"]
    assert run([*arguments, "--dry-run", "--json"]) == 0
    more = json.loads(capsys.readouterr().out)
    assert (plain["rows"], more["rows"]) == (N, N + 40)
    assert evaluated(*CHECK, "--config", "eval.yaml")["guards"][0]["name"] == "guard check"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--guards", "{chek: x, margin: 3}"], 3, "guards[1]: a guard rests on one of"),
        (["--guards", "{kpi: x, margin: 3}"], 3, "guards[1].kpi: no such value"),
        (["--guards", "{"], 3, "--guards: is no YAML"),
        (["--kpi", "none.yaml"], 3, "none.yaml: can't be read"),
        (["--votes", "none.jsonl"], 3, "none.jsonl"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "prompts.jsonl", *MODELS, *CHECK, *arguments]) == code
    assert message in capsys.readouterr().err
    assert not Path("asked").exists()


def test_what_compares_needs_a_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    write_kpi()
    assert run(["evaluate", "prompts.jsonl", *MODELS[:2], "--kpi", "kpi.yaml"]) == 2
    assert "--kpi compares with a baseline" in capsys.readouterr().err
