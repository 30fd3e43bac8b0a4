"""Forks begin with what is there and ask for what changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outputs import build, prompt, unasked

from clairkit.audit.fork import fork_journal
from clairkit.audit.remove import remove
from clairkit.audit.verify import verify
from clairkit.errors import DataError, UsageError
from clairkit.journal.files import rows_of
from clairkit.journal.results import Journal

ROWS = [prompt(n) for n in range(4)]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return build(tmp_path / "old.jsonl", ROWS)


def calls_of(output: Path) -> int:
    journal = Journal(output)
    try:
        return journal.usage().calls
    finally:
        journal.close()


def test_a_fork_asks_only_for_what_changed(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "deeper" / "new.jsonl"
    assert fork_journal(old, new)
    build(new, ROWS, revise=str.title, version=2, stop_after=0)  # no answer is asked for again
    assert [pair["chosen"][0]["content"] for pair in rows_of(new)][:2] == [
        "I Say Secret Question 0",
        "I Say Secret Question 1",
    ]
    assert [pair["rejected"] for pair in rows_of(new)] == [p["rejected"] for p in rows_of(old)]
    assert [verify(output).problems for output in (old, new)] == [[], []]


def test_with_the_same_settings_nothing_is_asked(old: Path, tmp_path: Path) -> None:
    fork_journal(old, tmp_path / "new.jsonl")
    new = build(tmp_path / "new.jsonl", ROWS, revise=unasked)
    assert new.read_bytes() == old.read_bytes()


def test_what_it_began_with_is_not_on_its_bill(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    fork_journal(old, new)
    build(new, [*ROWS, prompt(4)], version=2)
    assert (calls_of(old), calls_of(new)) == (8, 6)
    remove(new, ["row-0", "row-4"])  # two results of the old run, three of its own
    assert calls_of(new) == 3
    journal = Journal(new)
    assert journal.meta("inherited") == 6
    journal.close()


def test_the_same_fork_again_goes_on(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    fork_journal(old, new)
    build(new, [*ROWS, prompt(4)], version=2)
    assert not fork_journal(old, new)
    build(new, [*ROWS, prompt(4)], version=2, revise=unasked)
    assert len(list(rows_of(new))) == 5


def test_removed_rows_stay_removed(old: Path, tmp_path: Path) -> None:
    remove(old, ["row-1"])
    fork_journal(old, tmp_path / "new.jsonl")
    new = build(tmp_path / "new.jsonl", ROWS, version=2)
    assert [pair["provenance"]["row"] for pair in rows_of(new)] == ["row-0", "row-2", "row-3"]


def test_a_run_at_work_can_be_forked(old: Path, tmp_path: Path) -> None:
    journal = Journal(old)
    try:
        fork_journal(old, tmp_path / "new.jsonl")
    finally:
        journal.close()
    build(tmp_path / "new.jsonl", ROWS, revise=unasked)


def test_what_is_no_fork_is_refused(old: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other.jsonl", ROWS[:1])
    with pytest.raises(UsageError, match="not begun as this fork"):
        fork_journal(old, other)
    with pytest.raises(UsageError, match="from itself"):
        fork_journal(old, old)
    with pytest.raises(DataError, match="no journal to fork"):
        fork_journal(tmp_path / "none.jsonl", tmp_path / "new.jsonl")
    (tmp_path / "precious.jsonl").write_text("mine")
    with pytest.raises(UsageError, match="the output exists"):
        fork_journal(old, tmp_path / "precious.jsonl")
    with pytest.raises(UsageError, match="leads out"):
        fork_journal(old, Path("../new.jsonl"))
    assert not list(tmp_path.glob("precious.jsonl.*"))
    (tmp_path / "bad.jsonl.journal.sqlite").write_text("no database, but long enough to be one")
    with pytest.raises(DataError, match="not a journal of clairkit"):
        fork_journal(tmp_path / "bad.jsonl", tmp_path / "new.jsonl")
    assert not list(tmp_path.glob("*new.jsonl*"))
    assert json.loads(other.read_text())["provenance"]["row"] == "row-0"
