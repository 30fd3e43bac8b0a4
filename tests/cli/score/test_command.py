"""`clairkit score`, from file to table, JSON and file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from clairkit.cli.main import run
from clairkit.records import read_pairs
from clairkit.scoring import METRICS, score_pair

SIDES = [
    ("東京は日本の首都です。", "京都は日本の首都です。"),
    ("same", "same"),
    ("", "something"),
    ("x = 1\n", "x = 2\n"),
    ("Two mugs cost 14 EUR.", "Two mugs cost 14."),
]


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [
        {"id": f"row{at}", "prompt": "Why?", "chosen": chosen, "rejected": rejected, "note": at}
        for at, (chosen, rejected) in enumerate(SIDES)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def pairs(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    return write(tmp_path / "pairs.jsonl", rows)


def test_the_table_names_its_unit(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", pairs]) == 0
    out = capsys.readouterr().out
    assert "5 pairs. Unit: grapheme clusters (no --tokenizer given)." in out
    for label in METRICS.values():
        line = next(line for line in out.splitlines() if line.startswith(f"{label} "))
        assert " grapheme " in line
    assert "Flags: identical 1, empty_chosen 1" in out


def test_json_has_the_same_numbers(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", pairs, "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["read"], found["kept"], found["unit"]) == (5, 5, "grapheme")
    assert found["tokenizer"] is None
    values = [score_pair("", *sides, None).edit_share_chosen for sides in SIDES]
    assert found["metrics"]["edit_share_chosen"]["mean"] == pytest.approx(sum(values) / 5)
    assert found["metrics"]["length_ratio"]["n"] == 5
    assert "Indel similarity" in captured.err
    assert run(["score", pairs, "--json", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_pairs_are_written_with_scores(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scored.jsonl"
    assert run(["score", pairs, "-o", str(output), "--drop", "identical,empty"]) == 0
    captured = capsys.readouterr()
    assert "Dropped: identical 1, empty 1" in captured.out
    assert f"Next: clairkit train --model ID --pairs {output} -o RUN" in captured.err
    written = list(read_pairs(output))
    assert [pair.id for pair in written] == ["row0", "row3", "row4"]
    assert written[0].scores == score_pair("Why?", *SIDES[0], None).to_json()
    assert written[0].extra == {"note": 0}


def test_shuffled_rows_give_the_same_bytes(
    rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = set()
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        source, output = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
        assert run(["score", source, "-o", str(output), "--force"]) == 0
        seen.add((capsys.readouterr().out, output.read_bytes()))
    assert len(seen) == 1


def test_scoring_again_changes_nothing(pairs: str, tmp_path: Path) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    assert run(["score", pairs, "-o", str(first)]) == 0
    assert run(["score", str(first), "-o", str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()


def test_an_output_is_not_replaced_unasked(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    assert run(["score", pairs, "-o", str(output)]) == 2
    assert "--force" in capsys.readouterr().err
    assert output.read_text() == "mine"
    # Told before the pairs are read, which may take long.
    assert run(["score", "no-such-file.jsonl", "-o", str(output)]) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--drop", "identicle"], 2, "Did you mean identical?"),
        (["--drop", ""], 2, "no reason"),
        (["--tokenizer", "/no/such/folder"], 2, "there is no such folder"),
        (["-o", "out.txt"], 2, "unknown kind of output file"),
        (["--drop", "identical,empty,turns_differ,one_unit"], 0, ""),
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


def test_nothing_left_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt": "p", "chosen": "a", "rejected": "a"}]
    output = tmp_path / "out.jsonl"
    source = write(tmp_path / "in.jsonl", rows)
    assert run(["score", source, "--drop", "identical", "-o", str(output)]) == 3
    assert "0 of 1 pairs are left: received '1 identical'" in capsys.readouterr().err
    assert not output.exists()


def test_bad_rows(
    rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", [*rows, {"prompt": "p", "chosen": None}])
    assert run(["score", source]) == 3
    assert "in.jsonl:6" in capsys.readouterr().err
    assert run(["score", source, "--skip-bad"]) == 0
    assert "Bad rows skipped: missing_column 1" in capsys.readouterr().out


def test_a_tokenizers_name_stands_in_every_output(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({unit: at for at, unit in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    folder = tmp_path / "[red]tok[/foo]"
    PreTrainedTokenizerFast(tokenizer_object=inner).save_pretrained(folder)
    output = tmp_path / "out.jsonl"
    arguments = ["score", pairs, "--tokenizer", str(folder), "-o", str(output)]
    assert run(arguments) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert str(folder) in out.replace(" ", "")
    assert " token 5 " in out
    for pair in read_pairs(output):
        assert (pair.scores["unit"], pair.scores["tokenizer"]) == ("token", str(folder))
    assert run([*arguments, "--force", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["tokenizer"] == str(folder)


def test_twenty_columns_show_every_number(
    pairs: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["score", pairs]) == 0
    wide = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "20")
    assert run(["score", pairs]) == 0
    narrow = capsys.readouterr().out
    table = [line for line in wide.splitlines() if line.startswith(tuple(METRICS.values()))]
    numbers = [word for line in table for word in line.split() if word[0].isdigit()]
    shown = [line.split()[-1] for line in narrow.splitlines() if line.startswith("  ")]
    assert len(numbers) == 7 * len(METRICS)
    assert numbers == [word for word in shown if word != "grapheme"]
    assert "  median 0." in narrow
