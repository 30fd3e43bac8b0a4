"""`clairkit score --judge`: verdicts on pairs, q, and how a run goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fake_server import Request, Response, completion, serving

from clairkit.cli.main import run
from clairkit.models.requests import JudgeRequest
from clairkit.records import read_pairs
from clairkit.statistics.win_rate import mean_share

CALLS: list[str] = []


def longer(request: JudgeRequest) -> str:
    """Prefer the longer answer."""
    CALLS.append(request.first)
    one, other = len(request.first), len(request.second)
    return "tie" if one == other else "first" if one > other else "second"


def first(request: JudgeRequest) -> str:
    """Always name what stands first."""
    return "first"


def mumbles(request: JudgeRequest) -> str:
    return "well" if request.first.startswith("a") else "first"


def spec(judge: Any) -> str:
    return f"python:{__name__}:{judge.__name__}"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    CALLS.clear()


def write(rows: list[dict[str, Any]]) -> None:
    lines = [{"id": f"p{at:02}", "prompt": f"q{at}", **row} for at, row in enumerate(rows)]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))


def sides(wins: int, losses: int, ties: int = 0, **more: Any) -> list[dict[str, Any]]:
    made = [("long answer", "short")] * wins + [("short", "long answer")] * losses
    made += [("same size", "size same")] * ties
    return [{"chosen": one, "rejected": other, "source": "clair", **more} for one, other in made]


def score(judge: Any, *more: str) -> int:
    return run(["score", "pairs.jsonl", "-o", "out.jsonl", "--judge", spec(judge), "--json", *more])


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out)["judge"]
    assert isinstance(found, dict)
    return found


def test_verdicts_become_scores_and_q(capsys: pytest.CaptureFixture[str]) -> None:
    write(sides(14, 4, 2))
    assert score(longer) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)["judge"]
    oracle = mean_share([1.0] * 14 + [0.0] * 4 + [0.5] * 2, [*range(20)])
    assert oracle.interval is not None
    assert found["q"]["estimate"] == found["chosen_wins"]["estimate"] == pytest.approx(15 / 20)
    assert (found["q"]["low"], found["q"]["high"]) == (oracle.interval.low, oracle.interval.high)
    assert found["q"]["consistency"] == 1.0
    assert "apo_zero is made for them" in captured.err
    scores = {pair.id: pair.scores for pair in read_pairs("out.jsonl")}
    assert [scores[f"p{at}"]["judge_win"] for at in ("00", "15", "19")] == [1.0, 0.0, 0.5]
    assert scores["p00"]["judge_win_own"] == 1.0
    assert scores["p00"]["judge_consistent"] is True
    assert scores["p00"]["judge"] == spec(longer)
    assert len(CALLS) == 40


def test_a_judge_that_always_says_first_claims_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write(sides(10, 0))
    assert score(first) == 0
    found = said(capsys)["q"]
    assert (found["estimate"], found["low"]) == (0.5, None)
    assert (found["consistency"], found["first_wins"]) == (0.0, 1.0)


def test_pairs_of_one_prompt_are_clustered(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {**row, "prompt": f"q{at // 2}", "rejected": f"{row['rejected']} {at % 2}"}
        for at, row in enumerate(sides(14, 6))
    ]
    write(rows)
    assert score(longer) == 0
    found = said(capsys)["q"]
    assert (found["n"], found["clusters"]) == (20, 10)


def test_q_is_told_by_where_pairs_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        *sides(2, 0),
        *sides(3, 0, source="stronger_preferred"),
        *sides(4, 0, source="judge_on_policy"),
        *sides(5, 0, source="imported"),
        *sides(2, 0, provenance={"worsen": True}),
    ]
    write([{**row, "chosen": f"{row['chosen']}, {at}"} for at, row in enumerate(rows)])
    assert score(longer) == 0
    found = said(capsys)
    assert found["chosen_wins"]["estimate"] == 1.0
    # Worsened pairs: chosen is the target's own answer, and ties with itself.
    assert (found["q"]["n"], found["q"]["estimate"]) == (7, pytest.approx((5 + 2 * 0.5) / 7))
    assert found["q_unknown"] == {"imported": 5, "judge_on_policy": 4}


def test_equal_sides_tie_and_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    write([{"chosen": "a", "rejected": "a"}, *sides(1, 0)])
    assert score(longer) == 0
    assert said(capsys)["chosen_wins"]["estimate"] == 0.75
    assert len(CALLS) == 2


def test_verdicts_that_cannot_be_read_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    write([{"chosen": "a", "rejected": "b", "source": "clair"}, *sides(9, 0)])
    assert score(mumbles) == 0  # one of 20 is 5 %
    assert said(capsys)["q"]["unparsed"] == 1
    write([{"chosen": f"a{at}", "rejected": "b", "source": "clair"} for at in range(4)])
    assert score(mumbles, "--force") == 8
    assert "4 of 8 verdicts could not be read: W is between" in capsys.readouterr().err


def test_a_capped_run_goes_on_where_it_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    write(sides(6, 0))
    assert score(longer, "--max-calls", "5") == 4
    captured = capsys.readouterr()
    assert "--max-calls 5" in captured.err
    assert json.loads(captured.out)["judge"]["unfinished"] >= 3
    assert not Path("out.jsonl").exists()
    assert score(longer) == 0
    assert len(CALLS) == 12  # nothing is asked twice
    whole = Path("out.jsonl").read_bytes()
    assert score(longer) == 0
    assert (len(CALLS), Path("out.jsonl").read_bytes()) == (12, whole)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rubric", "concise"], "--rubric is for a judge"),
        (["--max-cost", "1"], "--max-cost is for a judge"),
        (["--judge", "openai:m"], "replies are kept beside the output"),
        (["--judge", "opneai:m", "-o", "x.jsonl"], "not a model spec"),
        (["--judge", "python:x:y", "--compare", "pairs.jsonl"], "--compare asks no judge"),
        (["--judge", "python:x:y", "--show", "p"], "--show runs no model"),
    ],
)
def test_what_does_not_go_together(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(sides(2, 0))
    assert run(["score", "pairs.jsonl", *arguments]) == 2
    assert message in capsys.readouterr().err


def served(request: Request) -> Response:
    """Prefer the longer answer; say so as a model does."""
    text = request.body["messages"][0]["content"]
    shown = [
        re.search(rf"\[\[{mark}:(\w+)\]\]\n(.*?)\n\[\[{mark}-end", text, re.DOTALL)
        for mark in ("answer-a", "answer-b")
    ]
    assert shown[0] is not None
    assert shown[1] is not None
    side = "A" if len(shown[0][2]) > len(shown[1][2]) else "B"
    return completion(f"Longer is better.\n[[{side}:{shown[0][1]}]]")


def test_a_judge_on_a_server_stays_below_its_cap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-tests")
    write(sides(8, 2))
    with serving(served) as server:
        base = ["score", "pairs.jsonl", "-o", "out.jsonl", "--judge", "openai:m", "--json"]
        base += ["--judge-base-url", server.url, "--concurrency", "2"]
        assert run([*base, "--max-cost", "100"]) == 2
        assert "openai:m" in capsys.readouterr().err  # it has no price
        priced = [*base, "--price", "openai:m=1000000,1000000"]  # US$ 12 a call
        assert run([*priced, "--max-cost", "100"]) == 4
        captured = capsys.readouterr()
        assert "--max-cost 100" in captured.err
        assert json.loads(captured.out)["judge"]["unfinished"] >= 6
        assert 12 * len(server.requests) <= 100
        assert run(priced) == 0
        assert len(server.requests) == 20  # nothing is asked twice
    found = said(capsys)
    assert (found["chosen_wins"]["estimate"], found["chosen_wins"]["verdicts"]) == (0.8, 20)
    scores = {pair.id: pair.scores for pair in read_pairs("out.jsonl")}
    assert [scores[f"p{at:02}"]["judge_win"] for at in (0, 9)] == [1.0, 0.0]
