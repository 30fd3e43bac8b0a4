"""`--config FILE` of `build-pairs`: options out of YAML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run

SHOUT = "python:reviser_functions:shout"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"q{n}", "answer": f"answer {n}."} for n in range(3)]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))


def build(config: str, *given: str) -> int:
    Path("build.yaml").write_text(config)
    return run(
        ["build-pairs", "prompts.jsonl", "-o", "pairs.jsonl", "--config", "build.yaml", *given]
    )


def test_a_file_stands_in_for_flags_of_any_spelling(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"reviser: {SHOUT}\nmax_calls: 2\nlength-neutral: false\ngate: no_op=drop\n"
    assert build(text, "--json") == 4  # stopped by max_calls
    assert json.loads(capsys.readouterr().out)["calls"] == 2


def test_the_command_line_wins(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"reviser: {SHOUT}\nmax_calls: 2\n"
    assert build(text, "--max-calls", "9", "--json") == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 3


def test_a_run_that_stops_names_the_file_in_the_command_that_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert build(f"reviser: {SHOUT}\nmax_calls: 1\n") == 4
    assert "--config build.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("reviser: x\nmax_edit_shares: 0.3\n", 2, "Did you mean max-edit-share?"),
        ("max_calls: 1\nmax-calls: 2\n", 2, "sets one option twice"),
        ("output: other.jsonl\n", 2, "unknown key"),
        ("dry_run: true\n", 2, "unknown key"),
        ("max_edit_share: much\n", 2, "--max-edit-share"),
        ("- reviser\n", 3, "not a YAML mapping"),
        ("reviser: [\n", 3, "is not YAML"),
        (f"body: {'[' * 3000}{']' * 3000}\n", 3, "nested more than"),
        ("body: {a: &a [1, 2], b: *c}\n", 3, "an alias names nothing"),
        ("seed: 1\nseed: 2\n", 3, "is there twice"),
    ],
)
def test_what_is_wrong_with_a_file(
    text: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(text) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("pairs.jsonl").exists()


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["build-pairs", "prompts.jsonl", "-o", "pairs.jsonl", "--config", "none.yaml"]
    assert run(line) == 3
    assert "none.yaml: can't be read" in " ".join(capsys.readouterr().err.split())


def test_mappings_keep_their_values() -> None:
    """Dates, null and line breaks, as YAML has them, are what the server and the template get."""
    text = (
        "reviser: openai:m\nbase-url: http://127.0.0.1:9/v1\nbody: {since: 2024-07-26}\n"
        'chat-template-kwargs: {date: 2024-07-26, none: null, text: "a\\nb"}\n'
    )
    assert build(text, "--batch-export", "batch.jsonl") == 0
    (file,) = Path().glob("batch*.jsonl")
    body = json.loads(file.read_text().splitlines()[0])["body"]
    assert body["since"] == "2024-07-26"
    assert body["chat_template_kwargs"] == {"date": "2024-07-26", "none": None, "text": "a\nb"}
