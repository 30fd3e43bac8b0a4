"""`clairkit explain`, `verify`, `merge`, `remove`: output and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.cli.main import run

HOSTILE = "[/red] \x1b[31m \u202e <script> =cmd()"
SHOUT = "python:reviser_functions:shout"


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Pairs of three people, in the current folder."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "id": f"row-{n}",
            "prompt": f"{HOSTILE} {n}",
            "answer": f"answer {n}. {HOSTILE}",
            "user": f"u{n % 3}",
        }
        for n in range(6)
    ]
    rows[5]["answer"] = "UNCHANGED"
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(["build-pairs", "prompts.jsonl", "-o", "pairs.jsonl", "--reviser", SHOUT]) == 0
    return "pairs.jsonl"


def test_explain(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    pair = json.loads(Path(pairs).read_text().splitlines()[1])
    assert run(["explain", pair["id"][:8]]) == 0
    out = capsys.readouterr().out
    assert f"Row row-1: pair {pair['id']}" in out
    assert "user: u1" in out
    assert "== Answer, from the prompt file\nanswer 1. [/red] \\x1b[31m \\u202e <script>" in out
    assert f"== revise, {SHOUT}, 20" in out
    assert "ANSWER 1. [/RED]" in out
    assert "at character 0: 'answer' -> 'ANSWER'" in out
    assert "\x1b" not in out
    assert run(["explain", "row-5", pairs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["record"]["reason"]) == ("quarantined", "no_op")
    assert [attempt["step"] for attempt in found["attempts"]] == ["revise"]


def test_explain_what_is_not_there(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "row-9"]) == 3
    assert "no pair and no row has this id: received 'row-9'" in capsys.readouterr().err
    assert run(["explain", "row-1", "none.jsonl"]) == 3
    Path("more.journal.sqlite").touch()
    assert run(["explain", "row-1"]) == 3
    assert "2 outputs of build-pairs are in this folder" in capsys.readouterr().err


def test_verify(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["problems"], found["output"]) == (True, [], pairs)
    assert run(["verify", pairs, "--head", found["head"]]) == 0
    assert "as it was made" in capsys.readouterr().out
    assert run(["verify", pairs, "--head", "0" * 64]) == 3
    assert "no line has the hash" in capsys.readouterr().err
    Path(pairs).write_text(Path(pairs).read_text().replace("ANSWER 2", "ANSWER 3"))
    assert run(["verify", "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["ok"] is False
    assert "pairs.jsonl: is not what the last run wrote" in captured.err


def test_remove(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["remove", pairs, "--where", "user=u2"]
    before = Path(pairs).read_bytes()
    assert run([*given, "--dry-run"]) == 0
    assert "2 rows would be removed: row-2, row-5" in capsys.readouterr().out
    assert Path(pairs).read_bytes() == before
    assert run(["merge", pairs, "-o", "other.parquet"]) == 0
    capsys.readouterr()
    assert run([*given, "--also", "other.parquet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["results"], found["reopened"]) == (2, 2, 0)
    assert found["files"] == {pairs: 1, "other.parquet": 1, f"{pairs}.quarantine.jsonl": 1}
    assert run(["verify", pairs, "--head", found["head"]]) == 0
    assert run(["build-pairs", "prompts.jsonl", "-o", pairs, "--reviser", SHOUT]) == 0
    assert "4 pairs from 4 rows" in capsys.readouterr().out


def test_remove_needs_to_know_whom(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["remove", pairs]) == 2
    assert run(["remove", pairs, "--where", "name=x"]) == 3
    assert "Columns are user" in capsys.readouterr().err


def test_a_removal_that_was_cut_short(
    pairs: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from clairkit.audit import remove as module

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    given = ["remove", pairs, "--where", "user=u2"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "overwrite_deleted", cut)
        assert run(given) == 130
    capsys.readouterr()
    assert run(["verify", pairs]) == 4
    captured = capsys.readouterr()
    assert "a removal was cut short" in captured.out
    assert "give the same `clairkit remove` again" in captured.err
    assert run(["build-pairs", "prompts.jsonl", "-o", pairs, "--reviser", SHOUT]) == 0
    assert "A removal of 2 rows was cut short" in capsys.readouterr().err
    assert run(given) == 0
    assert run(["verify", pairs]) == 0
    assert run(given) == 0  # it is done already


def test_what_still_holds_removed_texts_is_named(
    pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = Path(f"{pairs}.health.cases.jsonl")
    probe.write_bytes(Path(pairs).read_bytes())
    given = ["remove", pairs, "--where", "user=u2", "--json"]
    assert run(given) == 4
    captured = capsys.readouterr()
    assert json.loads(captured.out)["holding"] == [str(probe)]
    assert f"{probe}: holds texts of the removed rows" in captured.err
    probe.unlink()
    assert run(given) == 0


def test_a_flipped_bit(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Path(f"{pairs}.journal.sqlite")
    journal.write_bytes(journal.read_bytes().replace(b"ANSWER 2", b"ANSwER 2"))
    before = Path(pairs).read_bytes()
    assert run(["build-pairs", "prompts.jsonl", "-o", pairs, "--reviser", SHOUT]) == 3
    assert "revise of row row-2" in capsys.readouterr().err
    assert run(["verify", pairs]) == 3
    assert Path(pairs).read_bytes() == before


def test_shards_merge_and_go_on(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    shards = [f"part{n}.jsonl" for n in (1, 2)]
    for number, shard in enumerate(shards, 1):
        given = ["build-pairs", "prompts.jsonl", "-o", shard, "--reviser", SHOUT]
        assert run([*given, "--shard", f"{number}/2"]) == 0
    capsys.readouterr()
    assert run(["merge", *shards, "-o", "merged.jsonl", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pairs"], found["counts"], found["unfinished"]) == (5, {"no_op": 1}, 0)
    assert Path("merged.jsonl").read_bytes() == Path(pairs).read_bytes()
    assert run(["merge", *shards, "-o", "merged.jsonl"]) == 2
    again = ["build-pairs", "prompts.jsonl", "-o", "merged.jsonl", "--reviser", SHOUT, "--json"]
    assert run([*again, "--max-calls", "6"]) == 0  # all six are made
    assert Path("merged.jsonl").read_bytes() == Path(pairs).read_bytes()


def test_fork(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["build-pairs", "prompts.jsonl", "-o", "new.jsonl", "--fork", pairs]
    spec = "python:reviser_functions:nothing"
    for _ in range(2):
        assert run([*given, "--reviser", spec, "--json"]) == 0
        found = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (found["pairs"], found["calls"]) == (0, 6)
    assert run([*given[:3], pairs, "--reviser", SHOUT, "--fork", pairs]) == 2


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "1/0", "a/b", "-1/2"])
def test_shards_that_do_not_exist(
    pairs: str, shard: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["build-pairs", "prompts.jsonl", "-o", "x.jsonl", "--reviser", SHOUT]
    assert run([*given, f"--shard={shard}"]) == 2
    assert "shard" in capsys.readouterr().err
