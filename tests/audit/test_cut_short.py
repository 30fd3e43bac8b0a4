"""Removals that are cut short or held up: said as such, finished by the same call, nothing left."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from outputs import build, prompt, unasked

from clairkit.audit import remains
from clairkit.audit import remove as module
from clairkit.audit.fork import fork_journal
from clairkit.audit.merge import merge
from clairkit.audit.remove import Removal, choose_rows, remove, requests_of
from clairkit.audit.verify import verify
from clairkit.errors import DataError, PartialError, ResourceError
from clairkit.journal.files import find_output, rows_of
from clairkit.journal.manifest import read_manifest
from clairkit.journal.results import journal_path
from clairkit.records.temporary import temporary_file, temporary_folder

ROWS = [prompt(n, user=f"person-{n // 2}") for n in range(6)]
PERSON = (b"question 2", b"question 3", b"question 2".upper(), b"row-2", b"person-1")
STAGES = ["_rewrite", "delete_leftovers", "_delete", "overwrite_deleted", "seal", "finish_intent"]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return build(tmp_path / "pairs.jsonl", ROWS)


def left_in(folder: Path) -> list[bytes]:
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return [word for word in PERSON if word in content]


def call(output: Path, where: str = "user=person-1", **options: Any) -> Removal:
    """What `clairkit remove PAIRS --where …` does."""
    rows = choose_rows(output, where=[where])
    return remove(output, rows, requests=requests_of(where=[where]), **options)


def cut_at(stage: str, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, stage, cut)
        with pytest.raises(KeyboardInterrupt):
            call(output)


@pytest.mark.parametrize("stage", STAGES)
def test_the_same_call_finishes_it(
    output: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_at(stage, output, monkeypatch)
    found = verify(output)
    assert found.is_unfinished
    assert "2 rows still to be removed" in found.problems[0]
    assert "the same `clairkit remove`" in found.problems[0]
    assert not any("changed" in problem for problem in found.problems)
    assert call(output).rows == 2
    assert left_in(output.parent) == []
    assert verify(output).problems == []
    assert read_manifest(output)[-1]["removed"] == 2
    call(output)  # once more: it was done, and is no fault
    build(output, ROWS, revise=unasked)
    with pytest.raises(DataError, match="no row meets the condition"):
        call(output)  # of what was asked, too, nothing is kept


@pytest.mark.parametrize("stage", STAGES)
def test_a_build_in_between_says_what_is_to_be_finished(
    output: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_at(stage, output, monkeypatch)
    build(output, ROWS, revise=unasked)
    assert read_manifest(output)[-1]["removing"] == 2
    assert verify(output).is_unfinished
    call(output)
    assert left_in(output.parent) == []
    assert verify(output).problems == []
    assert "removing" not in read_manifest(output)[-1]


def test_another_removal_finishes_it_too(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_at("_delete", output, monkeypatch)
    assert remove(output, ["row-4"]).rows == 3
    assert left_in(output.parent) == []
    assert verify(output).problems == []


def test_what_is_half_removed_is_not_handed_on(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_at("_rewrite", output, monkeypatch)
    for act in (fork_journal, lambda old, new: merge([old], new)):
        with pytest.raises(DataError, match="a removal of 2 rows was cut short"):
            act(output, output.with_name("new.jsonl"))
    assert not list(output.parent.glob("*new*"))


@contextmanager
def reader(output: Path) -> Iterator[sqlite3.Connection]:
    """Somebody who reads the journal, as a backup does."""
    with closing(sqlite3.connect(journal_path(output), isolation_level=None)) as database:
        database.execute("BEGIN")
        database.execute("SELECT COUNT(*) FROM results").fetchone()
        yield database


def test_a_reader_of_the_journal_is_waited_for_and_named(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remains, "_PATIENCE", 50)
    with reader(output):
        with pytest.raises(ResourceError, match="another process reads the journal") as caught:
            call(output)
        assert caught.value.exit_code == 5
        assert left_in(output.parent) != []
        assert verify(output).is_unfinished
    call(output)
    assert left_in(output.parent) == []
    assert verify(output).problems == []


def test_a_reader_that_comes_later_is_no_matter(output: Path) -> None:
    call(output)
    with reader(output) as database:
        assert database.execute("SELECT COUNT(*) FROM results").fetchone() == (8,)
        call(output, where="user=person-1")


def test_pages_that_were_freed_before_deleting_was_secure_are_overwritten(output: Path) -> None:
    with closing(sqlite3.connect(journal_path(output), isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE earlier (text TEXT)")
        database.execute("INSERT INTO earlier VALUES (?)", ("question 3 of the past. " * 900,))
        database.execute("DROP TABLE earlier")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"question 3 of the past" in journal_path(output).read_bytes()
    call(output)
    assert left_in(output.parent) == []


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs"])
def test_what_killed_writers_left_is_deleted(tmp_path: Path, name: str) -> None:
    output = build(tmp_path / name, ROWS)
    texts = output.read_bytes() if output.is_file() else b"question 2"
    finals = (output, output.with_name(f"{name}.quarantine.jsonl"), journal_path(output))
    for final in finals:
        fresh, file = temporary_file(final)
        file.write(texts)
        file.close()
    made = tmp_path / "made.jsonl"
    made.write_bytes(b"")
    folder, held = temporary_folder(made)
    (folder / "data").write_bytes(texts)
    (tmp_path / f"{fresh.name[:10]}0123456789abcdef.tmp").write_bytes(texts)  # an earlier version's
    journal = journal_path(output).name
    for name in (f".{journal}.merge", f".{journal}.merge-journal", f".{journal}.fork-wal"):
        (tmp_path / name).write_bytes(texts)
    os.close(held)
    found = {check.name: check for check in verify(output).checks}["temporary files"]
    assert found.problem is None
    assert "left by a kill: .clairkit-" in found.found
    call(output, also=[made])
    assert left_in(tmp_path) == []
    assert not list(tmp_path.glob(".*"))


def test_a_folder_of_an_earlier_version_that_stands_aside(output: Path, tmp_path: Path) -> None:
    """It may be another output's only one: deleted where it holds the rows, else left alone."""
    others = build(tmp_path / "others", [prompt(7)])
    ours = build(tmp_path / "ours", ROWS)
    ours.rename(tmp_path / ".clairkit-0123456789abcdef.old")
    others.rename(tmp_path / ".clairkit-0123456789abcde0.old")
    (tmp_path / "ours.journal.sqlite").unlink()
    call(output)
    assert [path.name for path in tmp_path.glob(".*")] == [".clairkit-0123456789abcde0.old"]
    (tmp_path / ".clairkit-0123456789abcde1.old").mkdir()
    with pytest.raises(PartialError, match=r"abcde1\.old: may hold texts"):
        call(output, where="user=person-0")
    (tmp_path / ".clairkit-0123456789abcde1.old").rmdir()
    call(output, where="user=person-0")
    assert verify(output).problems == []


def test_a_file_of_another_mode_that_holds_their_texts_is_named(output: Path) -> None:
    cases = output.with_name("pairs.jsonl.health.cases.jsonl")
    cases.write_text('{"answer": "I say secret question 2"}\n')
    output.with_name("pairs.jsonl.health.md").write_text("I say secret question 4")
    for _ in range(2):
        assert call(output).holding == (str(cases),)
    cases.unlink()
    assert call(output).holding == ()


def test_files_of_another_output_are_not_beside_this_one(tmp_path: Path) -> None:
    output = build(tmp_path / "pairs", ROWS)
    build(tmp_path / "pairs.jsonl", ROWS)
    assert call(output).beside == ()


def test_a_folder_whose_writer_was_killed_between_two_renames_is_found(tmp_path: Path) -> None:
    output = build(tmp_path / "pairs", ROWS)
    fresh, held = temporary_folder(output)
    output.rename(fresh.with_suffix(".old"))
    os.close(held)
    assert len(list(rows_of(output))) == 6
    output.rename(fresh.with_suffix(".old"))
    assert verify(find_output(str(output))).problems == []
    output.rename(fresh.with_suffix(".old"))
    call(find_output(str(output)))
    assert len(list(rows_of(output))) == 4
    assert not list(tmp_path.glob(".*"))
