"""`clairkit score`: checks against other files, slices, workers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from clairkit.cli.main import run
from clairkit.records import read_pairs

SHARED = " and then it goes on for some more words that both of the sides have in common."


def rows() -> list[dict[str, Any]]:
    made = [
        {
            "id": f"row{at:02}",
            "prompt": f"Question {at}?",
            "lang": "de" if at % 4 else "ja",
            "chosen": f"Answer {at} is right{SHARED}",
            "rejected": f"Answer {at} is wrong{SHARED}",
        }
        for at in range(24)
    ]
    made[1] = {**made[0], "id": "row01"}
    made[2]["chosen"] = made[2]["rejected"]
    return made


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    return write(tmp_path / "pairs.jsonl", rows())


def result(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["score", *arguments, "--json", "--quiet"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_every_check_drops_with_a_count(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = write(tmp_path / "eval.jsonl", [{"prompt": "Question 5?"}, {"prompt": "Else?"}])
    benchmark = write(tmp_path / "bench.jsonl", [{"question": "Question 7?"}])
    output = str(tmp_path / "out.jsonl")
    found = result(
        capsys,
        pairs,
        "-o",
        output,
        "--eval",
        held_out,
        "--benchmark",
        benchmark,
        "--drop",
        "contaminated,in-eval,dead,duplicate",
    )
    assert found["dropped"] == {"duplicate": 1, "in_eval": 1, "contaminated": 1, "dead": 1}
    kept = {pair.id for pair in read_pairs(output)}
    assert kept == {row["id"] for row in rows()} - {"row01", "row02", "row05", "row07"}


def test_flags_are_written_and_counted_without_dropping(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = write(tmp_path / "eval.jsonl", [{"prompt": "Question 5?"}])
    output = tmp_path / "out.jsonl"
    assert run(["score", pairs, "--eval", held_out, "-o", str(output), "--near-duplicates"]) == 0
    assert "Flags: identical 1, duplicate 1, in_eval 1" in capsys.readouterr().out
    flags = {pair.id: pair.scores["flags"] for pair in read_pairs(output)}
    assert (flags["row01"], flags["row05"], flags["row06"]) == (["duplicate"], ["in_eval"], [])


def test_near_duplicates_are_looked_for_when_they_are_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = " ".join(f"w{at}" for at in range(100))
    made = [
        {"prompt": "Why?", "chosen": f"{words} {end}", "rejected": "no"} for end in ("a", "b", "")
    ]
    source = write(tmp_path / "near.jsonl", [*made, {**made[0], "chosen": "something else"}])
    assert result(capsys, source)["dropped"] == {}
    assert result(capsys, source, "--drop", "near-duplicate")["dropped"] == {"near_duplicate": 2}
    assert result(capsys, source, "--near-duplicates")["flags"]["near_duplicate"] == 2


def test_slices(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, pairs, "--by", "lang")["by"]
    assert found["column"] == "lang"
    assert [(each["value"], each["n"]) for each in found["slices"]] == [("de", 17), ("ja", 7)]
    assert 0 < found["slices"][0]["contrastiveness"] < found["slices"][1]["contrastiveness"] < 1


def test_a_column_that_no_pair_has_is_refused(
    pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score", pairs, "--by", "langs"]) == 2
    captured = capsys.readouterr()
    assert "no pair has this column: received 'langs'. Did you mean lang?" in captured.err
    assert "The columns are " in captured.err
    assert captured.out == ""  # before anything was scored


def test_slices_are_one_table_on_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    made = [{**row, "task": ("a" if at % 2 else "b") * 60} for at, row in enumerate(rows())]
    assert run(["score", write(tmp_path / "x.jsonl", made), "--by", "task"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("Means by task")
    assert lines[start + 1].split()[:3] == ["task", "n", "contrast"]
    assert [len(line.split()) for line in lines[start + 2 : start + 4]] == [8, 8]
    assert max(map(len, lines[start : start + 5])) <= 80


def test_many_slices_are_not_all_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [{**row, "id": str(at), "at": at} for at, row in enumerate(rows()[3:] * 2)]
    source = write(tmp_path / "many.jsonl", made)
    assert run(["score", source, "--by", "at"]) == 0
    assert "and 22 smaller ones: --json has all" in capsys.readouterr().out
    assert len(result(capsys, source, "--by", "at")["by"]["slices"]) == 42


def test_workers_change_no_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clairkit.scoring.many._FEW", 5)
    made, seen = rows(), set()
    for workers in ("1", "2"):
        random.Random(workers).shuffle(made)
        source, output = write(tmp_path / "in.jsonl", made), tmp_path / "out.jsonl"
        arguments = ["-o", str(output), "--force", "--by", "lang", "--near-duplicates"]
        assert run(["score", source, *arguments, "--workers", workers]) == 0
        seen.add((capsys.readouterr().out, output.read_bytes()))
    assert len(seen) == 1


def test_sets_are_compared_by_the_same_rules(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [{**row, "chosen": "Something else."} for row in rows()]
    found = result(
        capsys, "--compare", pairs, write(tmp_path / "b.jsonl", others), "--drop", "duplicate"
    )
    first, second = (each["metrics"]["contrastiveness"]["mean"] for each in found["sets"])
    assert first > 0.8 > 0.1 > second
    assert [each["dropped"] for each in found["sets"]] == [{"duplicate": 1}, {"duplicate": 1}]
    assert run(["score", "--compare", pairs, str(tmp_path / "b.jsonl")]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["contrastiveness", "contrastiveness"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--drop", "in_eval"], 2, "finds nothing without --eval"),
        (["--drop", "contaminated"], 2, "finds nothing without --benchmark"),
        (["--drop", "near_duplicat"], 2, "Did you mean near_duplicate?"),
        (["--eval", "none.jsonl"], 3, "none.jsonl"),
        (["--benchmark", "none.jsonl"], 3, "none.jsonl"),
        (["--workers", "0"], 2, "--workers"),
        (["--compare", "--by", "lang"], 2, "--compare has no slices"),
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
