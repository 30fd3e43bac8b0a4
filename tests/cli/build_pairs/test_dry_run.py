"""`build-pairs --dry-run`: what people and `--json` see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_server import revise, serving

from clairkit.cli.main import run


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-secret-4711")
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"q{n}", "answer": f"a{n}"} for n in range(6)]
    file.write_text("\n".join(map(json.dumps, [*rows, {"prompt": "bare"}])))
    return str(file)


def given(prompts: str, *more: str) -> list[str]:
    output = str(Path(prompts).with_name("pairs.jsonl"))
    return ["build-pairs", prompts, "-o", output, "--dry-run", *more]


MODELS = ("--target", "openai:gpt-4o-mini", "--reviser", "openai:gpt-4o")


def test_each_role_and_the_sum_of_their_costs(
    prompts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(given(prompts, *MODELS)) == 0
    shown = capsys.readouterr().out
    for part in (
        "Dry run: 7 rows",
        "target: completion tokens",
        "reviser: prompt tokens",
        "cost in all",
        "Forecast of target, reviser",
        "--probes 20",
    ):
        assert part in shown
    assert "480" in shown  # of the one answer that is missing


def test_no_key_is_needed_unless_rows_are_asked(
    prompts: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert run(given(prompts, *MODELS)) == 0
    assert run(given(prompts, *MODELS, "--probes", "2")) == 6
    assert "OPENAI_API_KEY is not set" in capsys.readouterr().err


def test_json_has_ranges_by_role(prompts: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(given(prompts, *MODELS, "--json", "--quiet")) == 0
    captured = capsys.readouterr()
    made = json.loads(captured.out)
    assert captured.err == ""
    assert (made["rows"], made["done"], made["spent"], made["unpriced"]) == (7, 0, 0, [])
    assert made["roles"]["reviser"]["calls"] == {"estimate": 7, "low": 7, "high": 7}
    assert made["roles"]["target"]["completion_tokens"]["estimate"] == 480
    cost = sum(role["cost"]["estimate"] for role in made["roles"].values())
    assert made["cost"]["estimate"] == pytest.approx(cost, abs=2e-6)
    assert made["cost"]["low"] < made["cost"]["estimate"] < made["cost"]["high"]


def test_a_missing_price_is_named_with_what_gives_it(
    prompts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ("--target", "openai:gpt-4o-mini", "--reviser", "openai:ours")
    assert run(given(prompts, *models)) == 0
    assert "No price is known for openai:ours: give --price ours=IN,OUT" in capsys.readouterr().out
    assert run(given(prompts, *models, "--price", "ours=1,2", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["estimate"] > 0


def test_probes_measure_and_are_spent(prompts: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(revise) as server:
        options = (
            "--limit",
            "6",
            "--reviser",
            "openai:ours",
            "--price",
            "ours=1000,1000",
            "--base-url",
            server.url,
        )
        assert run(given(prompts, *options, "--probes", "3")) == 0
        assert len(server.requests) == 3
        shown = capsys.readouterr().out
        assert "Dry run: 6 rows, 3 done; what the others take" in shown
        assert "Ranges of 95 %, from the 3 rows that are done." in shown
        assert "$0.036" in shown  # 3 rows of 7 + 5 tokens at $1000 a million: so far, and to come
        assert (
            run([argument for argument in given(prompts, *options) if argument != "--dry-run"]) == 0
        )
        capsys.readouterr()
        assert run(given(prompts, *options)) == 0
    assert "Nothing is left to ask." in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["20", "200"])
def test_narrow_and_plain_terminals_get_it_all(
    prompts: str, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert run(given(prompts, *MODELS)) == 0
    shown = capsys.readouterr().out
    assert "reviser: completion tokens" in shown
    assert shown.isascii()
