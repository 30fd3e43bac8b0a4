"""The page of an evaluation: every section it has data for, none of those it has not."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser
from evaluations import NEW, OLD, SIGNALS, items, signal, write_evaluation
from hostile_texts import HOSTILE

from clairkit.errors import DataError, UsageError
from clairkit.report import gather_evaluation, language, make_evaluation_page
from clairkit.report.eval_curves import _even, curves
from clairkit.report.eval_signals import unit_text
from clairkit.report.evaluated import read_evaluation

Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that makes the page of an evaluation, as text."""

    def made(
        rows: list[dict[str, Any]] | None, code: str = "en", most: int = 9999, **more: Any
    ) -> str:
        found = gather_evaluation([write_evaluation(tmp_path / "EVAL", rows, **more)])
        assert found is not None
        return make_evaluation_page(*found, language(code), max_items=most).html

    return made


def heads(page: str) -> list[str]:
    return re.findall(r"<h[23]>([^<]*)</h[23]>", page)


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_all_sections(make: Make) -> None:
    page = make(items(80))
    assert heads(page) == [
        "All signals",
        "Shares",
        "Changes, in percentage points",
        "Elo, against the base",
        "In EUR",
        "In minutes",
        "Guards",
        "Seeds: new against old",
        "Wins and length: new against old",
        "Judge against people: new against old",
        "Evidence as votes came in: new against old",
        "By group: new against old",
        "Answers",
    ]
    assert "SHIP: new is better" in page
    assert "<b>63.0 %</b> 57.0 % \N{EN DASH} 69.0 %" in page
    assert "<b>+6.2</b> +1.0 \N{EN DASH} +11.4" in page
    assert "too few for an interval" in page
    assert page == make(items(80))


def test_the_reason_is_told_in_the_language_of_the_page(make: Make) -> None:
    because = {"code": "undecided", "signal": "judge", "name": "j", "model": NEW, "against": OLD}
    because |= {"estimate": 0.52, "low": 0.47, "high": 0.57, "unit": "share"}
    guard = {"code": "guard_violated", "name": "math", "estimate": -0.05, "lower": -0.1}
    guard |= {"margin": 0.04, "unit": "points"}

    def told(code: str, found: dict[str, Any] | None) -> str:
        verdict = {"verdict": "NEED MORE", "reason": "in English", "because": found}
        return make(None, code, verdicts={NEW: verdict})

    page = told("ja", because)
    assert "52.0 %、区間 47.0 % \N{FULLWIDTH TILDE} 57.0 %" in page
    assert "in English" not in page
    assert "ガード「math」の違反: 変化 \N{MINUS SIGN}5.0、下限 \N{MINUS SIGN}10.0" in told(
        "ja", guard
    )
    for found in ({"code": "of a later version"}, None):
        assert "in English" in told("ja", found)
    assert "in English" in told("en", because)


def test_what_is_missing_leaves_its_section_out(make: Make) -> None:
    page = make(None, signals=[], guards=[], verdicts=None, verdict=None)
    assert heads(page) == []
    assert 'id="browser"' not in page
    page = make([row for row in items(40) if row["kind"] == "answer"], signals=SIGNALS[:1])
    assert "Wins and length: new against old" in heads(page)  # by the check
    assert not [each for each in heads(page) if each.startswith(("Judge", "Evidence", "Seeds"))]
    minimal = {"schema": 1, "models": [{"name": NEW, "role": "candidate"}]}
    assert (
        heads(
            make(
                None, **dict.fromkeys(("signals", "guards", "prompts", "cost", "judges")), **minimal
            )
        )
        == []
    )


def test_a_model_alone_is_shown_without_a_difference(make: Make) -> None:
    models = [{"name": NEW, "spec": "hf:run", "role": "candidate"}]
    rows = [row for row in items(10) if row["kind"] == "answer" and row["model"] == NEW]
    (pair, *others) = data_of(make(rows, models=models))["pairs"]
    assert pair["names"] == [NEW]
    assert pair["diff"] == [rows[0]["answer"], "", ""]
    assert len(others) == 9


def test_the_browser_has_answers_verdicts_and_votes(make: Make) -> None:
    rows = items(30, votes=30)
    data = data_of(make(rows))
    assert len(data["pairs"]) == 30
    pair = data["pairs"][3]
    mine = [row for row in rows if row["id"] == pair["id"]]
    assert pair["names"] == [OLD, NEW]
    diff = pair["diff"]
    assert "".join(a + b for a, b in zip(diff[::3], diff[1::3], strict=True)) == mine[1]["answer"]
    assert "".join(a + b for a, b in zip(diff[::3], diff[2::3], strict=True)) == mine[0]["answer"]
    assert [row[0] for row in pair["votes"]] == ["judge", "judge", "person"]
    assert [row[2] for row in pair["votes"]] == [NEW, OLD, ""]
    scores = dict(zip([name for name, _ in data["metrics"]], pair["scores"], strict=True))
    assert scores["score"] == sum(r["score"] for r in mine if r["kind"] == "verdict") / 2
    assert scores["length difference (characters)"] == len(mine[0]["answer"]) - len(
        mine[1]["answer"]
    )
    assert set(data["columns"]) == {"topic", "cluster"}
    assert set(data["sources"]) == {"new is better", "old is better", "tie"}
    assert "order decides" in data["flags"]


def test_many_answers_stay_below_the_limit(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clairkit.report.eval_page._MOST_BYTES", 20_000)
    rows = items(60)
    page = make(rows)
    kept = [pair["id"] for pair in data_of(page)["pairs"]]
    assert 1 < len(kept) < 60
    assert kept == sorted(kept)
    assert f"Here are {len(kept)} of 60 comparisons" in page
    assert len(data_of(make(rows, most=3))["pairs"]) == 3


def test_several_candidates(make: Make) -> None:
    rows = items(12)
    third = [{**row, "model": "third"} for row in rows if row.get("model") == NEW]
    models = [
        {"name": name, "role": role}
        for name, role in ((NEW, "candidate"), ("third", "candidate"), (OLD, "baseline"))
    ]
    page = make(rows + third, models=models)
    assert {"Wins and length: new against old", "Wins and length: third against old"} <= set(
        heads(page)
    )
    data = data_of(page)
    assert data["columns"]["model"] == {NEW: 12, "third": 12}
    ids = [pair["id"] for pair in data["pairs"]]
    assert len(set(ids)) == 24


def test_the_evidence_is_that_of_the_votes(tmp_path: Path) -> None:
    rows = items(30, votes=30)
    for row in rows:
        if row["kind"] == "vote":
            row["score"] = 1.0 if row["id"] < "p00012" else 0.5
    found = read_evaluation(Path(write_evaluation(tmp_path / "E", rows)))
    part = curves(found, NEW, language("en"), "m-")["evidence"]
    assert part["now"] == "12 votes for the candidate, 0 against it, 18 ties: enough, you may stop."
    assert "nan" not in part["chart"]


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.5, "share", "50.0 %"),
        (-0.0312, "points", "\N{MINUS SIGN}3.1"),
        (12.0, "elo", "+12"),
        (0.25, "score", "0.25"),
        (None, "share", "-"),
        (float("nan"), "minutes", "-"),
    ],
)
def test_figures_are_said_in_their_unit(value: float | None, unit: str, said: str) -> None:
    assert unit_text(value, unit) == said


@pytest.mark.parametrize(("count", "groups"), [(10, 3), (3, 5), (1, 1), (100, 8)])
def test_groups_are_even_and_lose_nothing(count: int, groups: int) -> None:
    found: Sequence[Sequence[int]] = _even(list(range(count)), groups)
    assert [each for group in found for each in group] == list(range(count))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    folder = Path(write_evaluation(tmp_path / "E", items(5)))
    assert gather_evaluation([str(tmp_path / "none.jsonl")]) is None
    with pytest.raises(UsageError, match="one evaluation"):
        gather_evaluation([str(folder), str(tmp_path / "pairs.jsonl")])
    other = write_evaluation(tmp_path / "F", None)
    with pytest.raises(UsageError, match="one evaluation"):
        gather_evaluation([str(folder), other])
    (folder / "items.jsonl").write_text('{"kind": "answer"}\n{torn')
    with pytest.raises(DataError, match=r"items\.jsonl:2"):
        gather_evaluation([str(folder)])
    with pytest.raises(DataError, match="another version"):
        gather_evaluation([write_evaluation(tmp_path / "G", None, schema=2)])


def test_a_reader_in_a_browser(browser: Browser, make: Make, tmp_path: Path) -> None:
    page = tmp_path / "eval.html"
    page.write_text(make(items(40), "ja"), encoding="utf-8")
    browser.complaints()
    browser.requests()
    for width, dark in ((390, True), (1280, False)):
        browser.resize(width, 800, dark=dark)
        browser.open(page)
        assert browser.run("return document.documentElement.scrollWidth") <= width
    cells = (
        "return [...document.querySelectorAll('.pair .head .cell')].map((each) => each.textContent)"
    )
    assert browser.run(cells) == [OLD, NEW]
    votes = "return document.querySelectorAll('.pair > .scroll tr').length"
    assert browser.run(votes) == 4  # with the head
    assert (
        browser.run("return document.querySelector('[role=status]').textContent") == "40 件中 40 件"
    )
    browser.keys("j")
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()] * 2


def test_hostile_texts_do_not_act(browser: Browser, make: Make, tmp_path: Path) -> None:
    rows = []
    for at, (text, row) in enumerate(zip(HOSTILE * 5, items(len(HOSTILE), votes=50), strict=False)):
        named = {"cluster": text, "row": {text: text}, "answer": f"{text} {at}"}
        said = {
            "judge": text,
            "given": text,
            "first": text,
            "reason": text,
            "rater": text,
            "note": text,
        }
        rows.append({**row, **{key: value for key, value in (named | said).items() if key in row}})
    told = [
        signal(text, 0.5, 0.4, 0.6, name=text, unit=text, method=text, notes=[text])
        for text in HOSTILE
    ]
    page = tmp_path / "eval.html"
    verdicts = {text: {"verdict": text, "reason": text} for text in HOSTILE[:9]}
    page.write_text(make(rows, signals=told, verdicts=verdicts, notes=HOSTILE), encoding="utf-8")
    browser.complaints()
    browser.open(page)
    browser.keys("jjj")
    assert browser.run("return [window.canary, window.x, document.scripts.length]") == [
        None,
        None,
        2,
    ]
    assert browser.complaints() == []


@pytest.mark.slow
def test_five_thousand_answers_open_at_once(browser: Browser, make: Make, tmp_path: Path) -> None:
    page = tmp_path / "many.html"
    page.write_text(make(items(5000, words=30, votes=0)), encoding="utf-8")
    assert page.stat().st_size < 10_000_000
    browser.open(page)
    paint = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    for _ in range(50):
        if (found := browser.run(paint)) is not None:
            break
        time.sleep(0.1)
    assert found is not None
    assert found < 2000
    assert browser.run("return document.querySelector('[role=status]').textContent").endswith(
        "comparisons"
    )
