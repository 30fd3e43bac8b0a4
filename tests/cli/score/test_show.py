"""`clairkit score --show`: one pair in a terminal, in a pipe, as JSON; the loss-mask preview."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from clairkit.cli.main import run

ROWS = [
    {
        "id": "3fa2",
        "prompt": "What is [bold]it[/bold]?",
        "chosen": "The cat sat.\nx = 1",
        "rejected": "A dog sat.\nx = 2",
        "rationale": "Cats sit; see \x1b[31m[/foo].",
        "source": "clair",
        "scores": {"judge": 0.5},
    },
    {
        "id": "3fb0",
        "prompt": "首都は?",
        "chosen": "東京は首都です。",
        "rejected": "京都は首都です。",
    },
    {"id": "9c", "prompt": "p", "chosen": "same", "rejected": "same"},
]


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return str(path)


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["score", *arguments]) == 0
    return capsys.readouterr().out


def test_changes_are_marked_without_colours(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = show(capsys, pairs, "--show", "3fa")
    assert out.startswith("Pair 3fa2, clair\n\n== Prompt, user\nWhat is [bold]it[/bold]?\n")
    assert "rejected to chosen, 2 places\n[-A dog-]{+The cat+} sat.\nx = [-2-]{+1+}\n" in out
    assert "== Rationale\nCats sit; see \\x1b[31m[/foo].\n" in out
    assert "\njudge: 0.5\n" in out
    assert "\nedit_spans: 3\n" in out
    assert "\x1b" not in out
    assert "none: both sides are the same\nsame\n" in show(capsys, pairs, "--show", "9c")


def test_a_terminal_gets_colours_and_the_same_text(
    pairs: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = show(capsys, pairs, "--show", "3fa2")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = show(capsys, pairs, "--show", "3fa2")
    assert "\x1b[31m[-A dog-]\x1b[0m\x1b[32m{+The cat+}\x1b[0m sat." in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert show(capsys, pairs, "--show", "3fa2") == plain


def test_twenty_columns(
    pairs: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    lines = show(capsys, pairs, "--show", "3fb").splitlines()
    assert max(map(cell_len, lines)) <= 20
    joined = "".join(lines)
    assert "[-京都-]{+東京+}は首都です。" in joined


def test_json(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(show(capsys, pairs, "--show", "3fb0", "--json", "--quiet"))
    assert (found["id"], found["loss_mask"]) == ("3fb0", None)
    assert found["changes"] == [
        {"kind": "removed", "text": "京都"},
        {"kind": "added", "text": "東京"},
        {"kind": "same", "text": "は首都です。"},
    ]
    assert found["scores"]["indel_similarity"] == 0.875


@pytest.mark.parametrize("half", ["sk-abcdefghijk", ""])
def test_a_secret_is_not_told_piece_by_piece(
    half: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "correct horse battery"
    monkeypatch.setenv("SERVICE_PASSWORD", secret)
    row = {"id": "a", "prompt": "p", "chosen": f"key {half} {secret}", "rejected": "key horse"}
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    out = show(capsys, str(path), "--show", "a")
    assert "battery" not in out
    assert "key [redacted]" in out or "[redacted]+}" in out
    assert "Secrets are shown as [redacted]" in out


def test_what_a_loss_mask_trains_on(
    pairs: str, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [pairs, "--show", "3fa2", "--tokenizer", str(model_folder), "--loss-mask"]
    out = show(capsys, *arguments, "edits")
    assert "== Loss mask edits, chosen: {trained} 6 of 18 tokens (33%)\n" in out
    assert "\n{T|he} {c|a|t} sat.\nx = {1}<|im_end|>\n" in out
    assert "\n{A} {d|o|g} sat.\nx = {2}<|im_end|>\n" in out
    assert "never trained on.\n" in out
    out = show(capsys, *arguments, "weighted", "--set", "shared_weight=0.25")
    assert "{trained} 6 of 18 tokens (33%), the others at weight 0.25\n" in out
    out = show(capsys, *arguments, "all")
    assert "{trained} 18 of 18 tokens (100%)\n{T|he| |c|a|t| |s|a|t|.|\\n\n|x| |=| |1|<|im" in out
    found = json.loads(show(capsys, *arguments, "edits", "--json", "--quiet"))
    assert found["loss_mask"]["chosen"][0]["text"] == "T"
    assert found["loss_mask"]["chosen"][0]["weights"] == [1.0]


def test_the_mask_is_that_of_a_runs_configuration(
    pairs: str, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(f"model: {model_folder}\nmax_length: 10\nloss_mask: all\n", encoding="utf-8")
    arguments = ["score", pairs, "--show", "3fa2", "--config", str(file), "--loss-mask", "edits"]
    assert run(arguments) == 3
    assert "training would not see the pair: 0 of 1 (1 too long" in capsys.readouterr().err
    assert run([*arguments, "--set", "max_length=100"]) == 0
    assert "== Loss mask edits, chosen: {trained} 6 of 18" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--show", "3f"], 3, "several pairs' ids begin so: received '3f'. Give more of it: 3fa2"),
        (["--show", "x"], 3, "no pair has this id: received 'x'. Its ids are 3fa2, 3fb0, 9c"),
        (["--show", "9c", "-o", "out.jsonl"], 2, "--show writes no pairs"),
        (["--show", "9c", "--target", "m"], 2, "--show runs no model"),
        (["--show", "9c", "--set", "beta=1"], 2, "--config and --set are for the loss mask"),
        (["--show", "9c", "--loss-mask", "edits"], 2, "no tokenizer is named"),
        (["--show", "9c", "--by", "source"], 2, "--show takes one pair"),
        (["--show", "9c", "--drop", "dead"], 2, "--show takes one pair"),
        (["--show", "9c", "--workers", "2"], 2, "--show takes one pair"),
        (["--loss-mask", "edits"], 2, "--loss-mask shows one pair"),
        (["other.jsonl", "--compare", "--show", "9c"], 2, "--show takes one set of pairs"),
    ],
)
def test_arguments(
    pairs: str,
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["score", pairs, *arguments]) == code
    assert message in capsys.readouterr().err


def test_nothing_heavy_is_loaded_to_show_a_pair(pairs: str) -> None:
    import subprocess

    code = (
        "import sys; from clairkit.cli.main import run; "
        f"assert run(['score', {pairs!r}, '--show', '9c']) == 0; "
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(pairs).parent)
