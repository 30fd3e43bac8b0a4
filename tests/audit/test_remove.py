"""Removal: nothing of the person is left, all else stays, the next build leaves them out."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from outputs import build, prompt, renamed, unasked

from clairkit.audit import remove as module
from clairkit.audit.remains import Texts
from clairkit.audit.remove import choose_rows, remove
from clairkit.audit.verify import verify
from clairkit.errors import DataError, UsageError
from clairkit.journal.database import reading
from clairkit.journal.dataset_card import card_path
from clairkit.journal.files import rows_of
from clairkit.journal.manifest import quarantine_path, read_manifest
from clairkit.journal.results import Journal, journal_path
from clairkit.records import PromptRow, write_rows


def keeps_odd(text: str) -> str:
    return text if text[-1] in "13579" else text.upper()


ROWS = [prompt(n, user={"name": f"person-{n // 2}"}, group=n % 3) for n in range(8)]
PERSON = ROWS[2:4]  # one of each kind: row-2 is a pair, row-3 a no-op


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return build(tmp_path / "pairs.jsonl", ROWS, revise=keeps_odd)


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_rest_is_what_a_run_without_the_person_gives(output: Path, tmp_path: Path) -> None:
    others = [row for row in ROWS if row not in PERSON]
    whole = build(tmp_path / "other" / "pairs.jsonl", others, revise=keeps_odd)
    done = remove(output, choose_rows(output, where=["user.name=person-1"]))
    assert (done.rows, done.results, done.reopened, done.beside) == (2, 4, 0, ())
    assert done.files == {str(output): 1, str(quarantine_path(output)): 1}
    assert output.read_bytes() == whole.read_bytes()
    assert quarantine_path(output).read_bytes() == quarantine_path(whole).read_bytes()
    assert verify(output).problems == []


def test_nothing_of_the_person_is_left_on_the_disk(output: Path, tmp_path: Path) -> None:
    words = [b"question 2", b"question 3", b"QUESTION 2", b"person-1", b"row-2", b"row-3"]
    assert all(word in content(tmp_path) for word in words)
    remove(output, ["row-2", "row-3"])
    left = content(tmp_path)
    assert [word for word in words if word in left] == []
    assert all(word in left for word in (b"question 4", b"QUESTION 4", b"person-2", b"row-5"))


def test_the_next_build_leaves_them_out_and_asks_nothing(output: Path) -> None:
    remove(output, ["row-2", "row-3"])
    before = output.read_bytes()

    build(output, ROWS, revise=unasked)
    assert output.read_bytes() == before
    assert verify(output).problems == []


def test_manifest_and_card_say_how_many_not_who(output: Path) -> None:
    head = verify(output).head
    entry = remove(output, ["row-2", "row-3"]).entry
    assert (entry["event"], entry["removed"], entry["pairs"]) == ("remove", 2, 3)
    assert entry["previous"] == head
    text = card_path(output).read_text()
    assert "Removed for good: 2 prompts." in text
    assert entry["hash"] in text


def test_what_others_asked_for_too_stays(tmp_path: Path) -> None:
    twin = renamed(prompt(2), "twin", user="someone else")
    rows = [prompt(2), prompt(4), twin]
    output = build(tmp_path / "pairs.jsonl", rows)
    assert [row["detail"] for row in rows_of(quarantine_path(output))] == ["the same as row row-2"]
    done = remove(output, ["row-2"])
    assert (done.results, done.reopened) == (0, 1)
    assert not quarantine_path(output).exists()
    assert b"row-2" not in content(tmp_path)

    build(output, rows, revise=unasked)
    whole = build(tmp_path / "other" / "pairs.jsonl", rows[1:])
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("stage", ["_rewrite", "_delete", "seal"])
def test_a_removal_that_was_cut_short_is_ended_by_the_same_call(
    output: Path, stage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, stage, cut)
        with pytest.raises(KeyboardInterrupt):
            remove(output, ["row-2", "row-3"])
    remove(output, choose_rows(output, ids=["row-2", "row-3"]))
    assert verify(output).problems == []
    assert b"question 2" not in content(tmp_path)
    assert len(list(rows_of(output))) == 3


def test_a_build_after_a_removal_that_was_cut_short(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_rewrite", cut)
        with pytest.raises(KeyboardInterrupt):
            remove(output, ["row-2"])
    build(output, ROWS, revise=keeps_odd)
    assert b"question 2" not in output.read_bytes()


@pytest.mark.parametrize("name", ["scored.jsonl", "scored.jsonl.gz", "scored.parquet", "scored"])
def test_files_made_from_the_pairs(output: Path, tmp_path: Path, name: str) -> None:
    made = tmp_path / name
    write_rows(made, ({**pair, "scores": {"n": 1}} for pair in rows_of(output)))
    done = remove(output, ["row-2"], also=[made])
    assert done.files[str(made)] == 1
    assert [pair["provenance"]["row"] for pair in rows_of(made)] == ["row-0", "row-4", "row-6"]
    assert next(rows_of(made))["scores"] == {"n": 1}


def test_files_that_have_lost_their_provenance(output: Path, tmp_path: Path) -> None:
    made = tmp_path / "converted.jsonl"
    kept = ("id", "prompt", "chosen", "rejected")
    write_rows(made, ({name: pair[name] for name in kept} for pair in rows_of(output)))
    assert remove(output, ["row-2"], also=[made]).files[str(made)] == 1
    assert b"question 2" not in made.read_bytes()
    assert len(list(rows_of(made))) == 3


def test_a_file_whose_rows_cannot_be_told_is_refused_before_anything(
    output: Path, tmp_path: Path
) -> None:
    made = tmp_path / "bare.jsonl"
    write_rows(made, ({"chosen": "x"} for _ in range(2)))
    before = output.read_bytes()
    with pytest.raises(DataError, match="row 1 has no id"):
        remove(output, ["row-2"], also=[made])
    assert output.read_bytes() == before
    assert choose_rows(output, ids=["row-2"]) == ["row-2"]
    assert verify(output).problems == []


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs", "pairs.jsonl.gz"])
def test_other_forms(tmp_path: Path, name: str) -> None:
    output = build(tmp_path / name, ROWS, revise=keeps_odd)
    remove(output, ["row-2"])
    assert len(list(rows_of(output))) == 3
    assert verify(output).problems == []


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.parquet", "pairs"])
def test_all_rows_can_go(tmp_path: Path, name: str) -> None:
    output = build(tmp_path / name, ROWS[:1])
    remove(output, ["row-0"])
    assert list(rows_of(output)) == []
    assert verify(output).problems == []


def test_a_row_that_is_not_done_loses_its_replies(tmp_path: Path) -> None:
    rows = [prompt(0), prompt(1)]
    output = build(tmp_path / "pairs.jsonl", rows, stop_after=1)
    journal = Journal(output)
    journal.close()
    with sqlite3.connect(journal_path(output)) as database:  # answered, and then the run stopped
        database.execute("INSERT INTO asked VALUES ('row-1', 'answer', 'k')")
        database.execute(
            "INSERT INTO results (key, step, attempt, text, prompt_tokens, completion_tokens, "
            "tries, model, created) SELECT 'k', step, 1, 'half done', 1, 1, 1, model, created "
            "FROM results WHERE step = 'answer'"
        )
    assert remove(output, ["row-1"]).results == 1
    assert b"half done" not in content(tmp_path)


def test_replies_of_no_known_row_are_not_passed_over(output: Path) -> None:
    with sqlite3.connect(journal_path(output)) as database:
        database.execute("DELETE FROM asked WHERE row = 'row-7'")  # as after a kill
    with pytest.raises(DataError, match=r"2 of the results is not known.*--unknown"):
        remove(output, ["row-2"])
    assert b"row-2" in output.read_bytes()
    assert remove(output, ["row-2"], unknown=True).results == 4


def test_how_rows_are_chosen(output: Path) -> None:
    (pair,) = [pair for pair in rows_of(output) if pair["provenance"]["row"] == "row-4"]
    assert choose_rows(output, ids=["row-3", pair["id"]]) == ["row-3", "row-4"]
    assert choose_rows(output, where=["group=2", "user.name=person-0"]) == [
        "row-0",
        "row-1",
        "row-2",
        "row-5",
    ]


@pytest.mark.parametrize(
    ("ids", "where", "kind", "said"),
    [
        ([], [], UsageError, "no row is named"),
        ([], ["user"], UsageError, "COLUMN=VALUE"),
        (["row-"], [], DataError, "no pair and no row has this id: received 'row-'"),
        ([], ["user.name=person-9"], DataError, "Columns are group, user"),
        ([], ["user=person-1"], DataError, "no row meets"),
    ],
)
def test_what_means_no_row_is_refused(
    output: Path, ids: list[str], where: list[str], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        choose_rows(output, ids=ids, where=where)


def test_files_that_other_modes_wrote_are_named(output: Path) -> None:
    probe = output.with_name("pairs.jsonl.health.cases.jsonl")
    probe.write_text("question 2")
    assert remove(output, ["row-2"]).beside == (str(probe),)


def test_a_file_that_holds_thoughts_of_the_person_is_named(output: Path) -> None:
    thoughts = "thoughts of the second row, which nobody else has"
    with sqlite3.connect(journal_path(output)) as journal:  # as a fork or a probe was made
        journal.execute(
            "UPDATE results SET thoughts = ? WHERE (key, step) IN "
            "(SELECT key, step FROM asked WHERE row = 'row-2')",
            (thoughts,),
        )
    probe = output.with_name("pairs.jsonl.health.cases.jsonl")
    probe.write_text(json.dumps({"thoughts": thoughts}))
    with reading(journal_path(output)) as database:
        assert Texts(database, ["row-2"]).are_in(probe)
        assert not Texts(database, ["row-4"]).are_in(probe)


def test_not_while_a_run_is_at_work(output: Path) -> None:
    journal = Journal(output)
    try:
        with pytest.raises(UsageError, match="is working on this output"):
            remove(output, ["row-2"])
    finally:
        journal.close()
    assert len(list(rows_of(output))) == 4


def test_each_removal_is_a_line_of_the_manifest(output: Path) -> None:
    remove(output, ["row-2"])
    remove(output, ["row-4"])
    assert [entry.get("removed") for entry in read_manifest(output)] == [None, 1, 2]
    json.dumps(read_manifest(output))


def test_rows_without_columns_are_named_by_id(tmp_path: Path) -> None:
    rows = [PromptRow(row.prompt, id=row.id) for row in ROWS[:2]]
    output = build(tmp_path / "pairs.jsonl", rows)
    with pytest.raises(DataError, match="use --id"):
        choose_rows(output, where=["user=x"])
