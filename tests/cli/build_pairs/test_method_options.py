"""Options that have no effect with the method are refused on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run

METHODS = ("clair", "judge-on-policy", "judge-off-policy", "stronger-preferred")
JUDGED = ("clair", "judge-on-policy", "judge-off-policy")
HEEDED = {
    ("--samples", "3"): ("judge-on-policy",),
    ("--gate", "refusal=flag"): ("clair", "stronger-preferred"),
    ("--worsen",): ("clair",),
    ("--length-neutral",): ("clair",),
    ("--max-edit-share", "0.2"): ("clair",),
    ("--revision", "edits"): ("clair",),
    ("--template", "edits"): ("clair",),
    ("--rubric", "concise"): JUDGED,
    ("--language", "ja"): JUDGED,
}
MODELS = [
    "--target",
    "openai:t",
    "--reviser",
    "openai:r",
    "--judge",
    "openai:j",
    "--candidates",
    "openai:a",
    "--candidates",
    "openai:b",
]


def dry_run(method: str, *given: str) -> int:
    command = ["build-pairs", "prompts.jsonl", "-o", "pairs.jsonl", "--dry-run", *MODELS]
    return run([*command, "--method", method, *given])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompts.jsonl").write_text(json.dumps({"prompt": "q", "answer": "a."}))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", HEEDED)
def test_options(method: str, given: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    if method in HEEDED[given]:
        assert dry_run(method, *given) == 0
    else:
        assert dry_run(method, *given) == 2
        assert f"{given[0]} has no effect with {method}" in capsys.readouterr().err


def test_all_that_is_dropped_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert dry_run("stronger-preferred", "--rubric", "concise", "--samples", "9") == 2
    assert "--samples, --rubric have no effect with " in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS)
def test_a_file_of_options_serves_all_methods(method: str) -> None:
    Path("build.yaml").write_text("{revision: edits, samples: 3, rubric: concise}")
    assert dry_run(method, "--config", "build.yaml") == 0
