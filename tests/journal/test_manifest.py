"""The manifest's chain, and what `verify` finds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outputs import build, journal_digest, prompt, unasked

from clairkit.audit.explain import explain
from clairkit.audit.merge import merge
from clairkit.audit.remove import remove
from clairkit.audit.verify import verify
from clairkit.errors import DataError
from clairkit.generation import export
from clairkit.journal.files import rows_of
from clairkit.journal.manifest import (
    chain_problem,
    manifest_path,
    quarantine_path,
    read_manifest,
    seal,
)
from clairkit.journal.results import journal_path
from clairkit.records import digest, write_rows


def keeps_odd(text: str) -> str:
    """Revises every other answer."""
    return text if text[-1] in "13579" else text.upper()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two runs: 4 rows, then 6, half of them pairs."""
    rows = [prompt(n) for n in range(6)]
    output = build(tmp_path / "pairs.jsonl", rows[:4], revise=keeps_odd)
    return build(output, rows, revise=keeps_odd)


def test_an_output_is_what_its_manifest_says(output: Path) -> None:
    found = verify(output)
    assert found.problems == []
    assert not list(output.parent.glob("*.sqlite-*"))  # nothing is left behind
    assert [check.name for check in found.checks] == [
        "manifest",
        "pairs.jsonl",
        "pairs.jsonl.quarantine.jsonl",
        "journal",
        "pairs",
    ]
    first, second = read_manifest(output)
    assert (second["previous"], found.head) == (first["hash"], second["hash"])
    assert second["journal"]["results"] == 12
    assert second["files"]["pairs.jsonl"]["bytes"] == output.stat().st_size


def test_the_hash_is_of_the_lines_canonical_json(output: Path) -> None:
    """Whoever has no clairkit can check a manifest with a few lines."""
    for line in manifest_path(output).read_text().splitlines():
        entry = json.loads(line)
        said = entry.pop("hash")
        assert digest(entry) == said


def test_the_same_run_once_more_adds_no_line(output: Path) -> None:
    before = manifest_path(output).read_bytes()
    build(output, [prompt(n) for n in range(6)], revise=keeps_odd)
    assert manifest_path(output).read_bytes() == before


def rewrite(output: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    entries = [json.loads(line) for line in manifest_path(output).read_text().splitlines()]
    change(entries)
    manifest_path(output).write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def seal_again(entry: dict[str, Any]) -> None:
    entry["hash"] = digest({name: value for name, value in entry.items() if name != "hash"})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda entries: entries[0].update(pairs=9), "line 1 was changed"),
        (lambda entries: entries[1]["settings"].update(method="x"), "line 2 was changed"),
        (lambda entries: entries.pop(0), "before line 1 was changed, added or taken away"),
        (lambda entries: entries.reverse(), "before line 1"),
        (lambda entries: (entries[0].update(pairs=9), seal_again(entries[0])), "before line 2"),
        (lambda entries: entries.insert(0, dict(entries[0])), "before line 2"),
    ],
)
def test_a_changed_manifest_is_found(output: Path, change: Any, problem: str) -> None:
    rewrite(output, change)
    said = chain_problem(read_manifest(output))
    assert said is not None
    assert problem in said
    assert any(problem in each for each in verify(output).problems)


def test_a_manifest_written_anew_is_found_by_a_hash_noted_before(output: Path) -> None:
    noted = verify(output).head

    def anew(entries: list[dict[str, Any]]) -> None:
        entries[0]["pairs"] = 9
        seal_again(entries[0])
        entries[1]["previous"] = entries[0]["hash"]
        seal_again(entries[1])

    first = read_manifest(output)[0]["hash"]
    assert verify(output, head=first[:16]).problems == []  # any line may have been noted
    assert "too short" in verify(output, head=noted[:8]).problems[0]
    rewrite(output, anew)
    assert verify(output).problems == []
    assert "no line has the hash" in verify(output, head=noted).problems[0]


def test_a_changed_file_is_found(output: Path) -> None:
    text = output.read_text()
    output.write_text(text.replace("QUESTION 2", "QUESTION 3"))
    problems = verify(output).problems
    assert "pairs.jsonl: is not what the last run wrote" in problems[0]
    assert "its texts give the id" in problems[1]
    output.write_text(text)
    quarantine_path(output).unlink()
    assert ["is missing" in each for each in verify(output).problems] == [True]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE results SET text = text || '.' WHERE rowid = 3",
        "UPDATE results SET completion_tokens = 6 WHERE rowid = 3",
        "DELETE FROM results WHERE rowid = 12",
        "UPDATE results SET reason = 'refusal' WHERE rowid = 1",
    ],
)
def test_a_changed_reply_is_found(output: Path, change: str) -> None:
    with sqlite3.connect(journal_path(output)) as database:
        database.execute(change)
    assert "a result was changed, added or taken away" in verify(output).problems[0]


def test_replies_of_a_killed_run_are_no_fault(output: Path) -> None:
    with sqlite3.connect(journal_path(output)) as database:
        database.execute(
            "INSERT INTO results SELECT 'k', step, attempt, reason, detail, text, rationale, "
            "finish_reason, prompt_tokens, completion_tokens, tries, model, created, thoughts, "
            "seconds FROM results WHERE rowid = 1"
        )
    found = verify(output)
    assert found.problems == []
    assert "1 since" in next(check.found for check in found.checks if check.name == "journal")


def test_a_run_that_was_killed_before_its_seal(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    rows = [prompt(n) for n in range(8)]
    with monkeypatch.context() as patch:
        patch.setattr(export, "seal", killed)
        with pytest.raises(KeyboardInterrupt):
            build(output, rows, revise=keeps_odd)
    assert "run build-pairs once more" in verify(output).problems[0]
    build(output, rows, revise=unasked)
    assert verify(output).problems == []
    assert len(read_manifest(output)) == 3


def test_a_pair_whose_reply_is_gone_is_found(output: Path) -> None:
    with sqlite3.connect(journal_path(output)) as database:
        database.execute("DELETE FROM results WHERE rowid = 12")
        database.execute("UPDATE asked SET key = 'x' WHERE row = 'row-4' AND step = 'revise'")
    assert "the journal lacks its result of revise" in verify(output).problems[-1]


def test_the_digest_tells_kinds_and_places_of_values_apart(tmp_path: Path) -> None:
    def digest_of(name: str, values: tuple[Any, ...]) -> str:
        file = tmp_path / name
        with sqlite3.connect(file) as database:
            for table in ("rows", "asked", "removed"):
                database.execute(f"CREATE TABLE {table} (x)")
            database.execute("CREATE TABLE results (a, b)")
            database.execute("INSERT INTO results VALUES (?, ?)", values)
        return str(journal_digest(file)["sha256"])

    values = [("1", "2"), (1, 2), ("12", ""), ("", "12"), (None, "12"), ("1", "str1:2")]
    assert len({digest_of(f"{n}", each) for n, each in enumerate(values)}) == len(values)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"{}\n", "not a line of a manifest"),
        (b'{"hash": "', "torn_line"),
        (b"\xff\n", "can't be read"),
        (b"[]\n", "bad_json"),
    ],
)
def test_what_is_no_manifest_is_refused(output: Path, content: bytes, said: str) -> None:
    manifest_path(output).write_bytes(content)
    with pytest.raises(DataError, match=said):
        verify(output)


def test_a_manifest_names_no_file_elsewhere(output: Path) -> None:
    def lead_out(entries: list[dict[str, Any]]) -> None:
        entries[1]["files"]["../../etc/passwd"] = {"bytes": 1, "sha256": ""}
        seal_again(entries[1])

    rewrite(output, lead_out)
    assert any("another folder" in problem for problem in verify(output).problems)


def test_a_folder_can_be_moved_and_read_only(output: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in tmp_path.glob("pairs.jsonl*"):
        path.rename(moved / path.name)
    moved.chmod(0o555)
    try:
        assert verify(moved / "pairs.jsonl").problems == []
    finally:
        moved.chmod(0o755)


def rename(output: Path, name: str) -> Path:
    """Rename an output with all that stands beside it."""
    for path in output.parent.glob(f"{output.name}*"):
        path.rename(path.with_name(name + path.name.removeprefix(output.name)))
    return output.with_name(name)


@pytest.mark.parametrize(
    ("name", "later"), [("pairs.jsonl", "final.jsonl"), ("pairs", "final"), ("pairs", "p")]
)
def test_an_output_can_be_renamed_with_its_files(tmp_path: Path, name: str, later: str) -> None:
    rows = [prompt(n) for n in range(4)]
    output = rename(build(tmp_path / name, rows, revise=keeps_odd), later)
    found = verify(output)
    assert found.problems == []
    assert any(f"sealed as {name}" in check.found for check in found.checks)
    merge([output], tmp_path / "merged.jsonl")
    remove(output, ["row-2"])
    build(output, rows, revise=unasked)
    assert verify(output).problems == []
    assert not any("sealed as" in check.found for check in verify(output).checks)
    (output / "x" if output.is_dir() else output).write_text("{}")
    data = next(path for path in [output, *output.rglob("*.arrow")] if path.is_file())
    data.write_bytes(b"{}")
    assert "is not what the last run wrote" in verify(output).problems[0]


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs"])
def test_a_file_that_was_renamed_alone(tmp_path: Path, name: str) -> None:
    output = build(tmp_path / name, [prompt(n) for n in range(4)], revise=keeps_odd)
    build(tmp_path / "other.jsonl", [prompt(9)])
    later = output.rename(tmp_path / "final")
    if name == "pairs.jsonl":
        later = later.rename(tmp_path / "final.jsonl")
    with pytest.raises(DataError, match=rf"Rename {name}\.\* to {later.name}\.\*") as caught:
        verify(later)
    assert f"{name}.manifest.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda pair: pair.clear(),
        lambda pair: pair.update(prompt="text"),
        lambda pair: pair.update(chosen=[]),
        lambda pair: pair.update(rejected=[{"role": "assistant"}]),
        lambda pair: pair.update(provenance=None),
        lambda pair: pair["provenance"].update(steps="none"),
        lambda pair: pair["provenance"].update(steps=[{"step": 1}]),
    ],
)
def test_pairs_that_are_none_are_a_problem_and_no_crash(output: Path, change: Any) -> None:
    rows = list(rows_of(output))
    change(rows[1])
    write_rows(output, rows, force=True)
    assert any("row 2 is not a pair" in problem for problem in verify(output).problems)
    with pytest.raises(DataError, match="row 2 is not a pair"):
        explain(output, "row-9")


def test_a_row_set_aside_that_is_none(output: Path) -> None:
    quarantine_path(output).write_text('{"id": "row-9", "reason": 1}\n')
    with pytest.raises(DataError, match="row 1 is not a row that build-pairs set aside"):
        explain(output, "row-9")


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs", "pairs.jsonl.gz"])
def test_other_forms(tmp_path: Path, name: str) -> None:
    output = build(tmp_path / name, [prompt(n) for n in range(4)], revise=keeps_odd)
    assert verify(output).problems == []
    assert build(output, [prompt(n) for n in range(4)], revise=keeps_odd) == output
    assert len(read_manifest(output)) == 1  # the same rows, the same bytes


def test_what_only_python_takes_for_a_line_end_is_none(output: Path) -> None:
    sealed = seal(output, "build", {"settings": {"judge.rubric": "a\u2028b\x85c\x0cd"}})
    assert read_manifest(output)[-1] == sealed
    assert seal(output, "build", {"pairs": 1})["sequence"] == sealed["sequence"] + 1


def test_no_path_stands_in_a_manifest(output: Path) -> None:
    text = manifest_path(output).read_text()
    assert str(output.parent) not in text
    settings = json.loads(text.splitlines()[0])["settings"]
    assert (settings["method"], settings["reviser.version"]) == ("clair", 1)
