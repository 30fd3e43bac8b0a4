"""Nothing is sealed over damage: a result that was changed after its seal stops all that would."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from outputs import build, prompt

from clairkit.audit.fork import fork_journal
from clairkit.audit.merge import merge
from clairkit.audit.remove import choose_rows, remove
from clairkit.audit.verify import verify
from clairkit.errors import ClairError, DataError
from clairkit.journal.manifest import manifest_path, read_manifest, seal
from clairkit.journal.results import journal_path
from clairkit.records import PromptRow

ROWS = [prompt(n) for n in range(6)]
REVISION_OF_2 = b"SECRET QUESTION 2"

Act = Callable[[Path], object]


def other(output: Path) -> Path:
    return output.with_name("other.jsonl")


ACTS: dict[str, Act] = {
    "the same build": lambda output: build(output, ROWS),
    "a build of more": lambda output: build(output, [*ROWS, prompt(7)]),
    "a merge": lambda output: merge([output], other(output)),
    "a fork": lambda output: fork_journal(output, other(output)),
    "a removal of another row": lambda output: remove(output, ["row-4"]),
    "a seal": lambda output: seal(output, "build", {"x": 1}),
}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return build(tmp_path / "pairs.jsonl", ROWS)


def flip(output: Path, text: bytes, *, bit: int = 0x20) -> None:
    """Flip a bit of a text in the journal's file, as a disk would."""
    content = bytearray(journal_path(output).read_bytes())
    content[content.index(text) + 1] ^= bit
    journal_path(output).write_bytes(content)


def change(output: Path, sql: str) -> None:
    with closing(sqlite3.connect(journal_path(output))) as database, database:
        database.execute(sql)


def everything(folder: Path) -> dict[str, bytes]:
    """All files but the lock's and what SQLite keeps beside its own."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.endswith((".lock", "-shm", "-wal", ".sqlite"))
    }


@pytest.mark.parametrize("bit", [0x20, 0x80], ids=["a letter", "no UTF-8"])
@pytest.mark.parametrize("act", ACTS)
def test_a_flipped_bit_stops_it_and_its_row_is_named(output: Path, act: str, bit: int) -> None:
    flip(output, REVISION_OF_2, bit=bit)
    before = everything(output.parent)
    with pytest.raises(DataError, match="revise of row row-2") as caught:
        ACTS[act](output)
    assert caught.value.exit_code == 3
    assert "--id row-2" in str(caught.value)
    assert everything(output.parent) == before
    assert "revise of row row-2" in verify(output).problems[0]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE results SET completion_tokens = 6 WHERE rowid = 3", "of row row-"),
        ("UPDATE results SET reason = 'refusal' WHERE rowid = 3", "of row row-"),
        ("UPDATE results SET text = text || 'x'", "and 11 more"),
        ("UPDATE results SET key = 'x' WHERE rowid = 3", "of no known row"),
        ("DELETE FROM results WHERE rowid = 3", "added or taken away"),
    ],
)
def test_any_change_of_a_sealed_result_is_found(output: Path, sql: str, said: str) -> None:
    change(output, sql)
    with pytest.raises(DataError, match=said):
        build(output, ROWS)
    assert said in verify(output).problems[0]


def test_what_was_added_since_is_no_damage(output: Path) -> None:
    names = "step, attempt, text, prompt_tokens, completion_tokens, tries, model, created"
    change(
        output,
        f"INSERT INTO results (key, {names}) SELECT 'k', {names} FROM results WHERE rowid = 1",
    )
    build(output, [*ROWS, prompt(8)])
    assert verify(output).problems == []
    assert read_manifest(output)[-1]["journal"]["results"] == 15


def test_a_damaged_row_can_be_given_up(output: Path) -> None:
    flip(output, REVISION_OF_2)
    remove(output, choose_rows(output, ids=["row-2"]))
    build(output, ROWS)
    assert verify(output).problems == []
    assert REVISION_OF_2 not in output.read_bytes()


def test_a_damaged_pair_is_not_sealed_by_a_removal(output: Path) -> None:
    output.write_bytes(output.read_bytes().replace(b"QUESTION 2", b"question 2"))
    with pytest.raises(DataError, match="its texts give the id"):
        remove(output, ["row-4"])
    build(output, ROWS)
    remove(output, ["row-4"])
    assert verify(output).problems == []


def test_a_changed_manifest_is_not_written_on(output: Path) -> None:
    path = manifest_path(output)
    path.write_bytes(path.read_bytes().replace(b'"pairs": 6', b'"pairs": 7'))
    before = path.read_bytes()
    with pytest.raises(DataError, match="line 1 was changed"):
        build(output, ROWS)
    assert path.read_bytes() == before


def forget_later_tables(output: Path) -> None:
    """Make an output one of the version before: no digest of each result, no removals noted."""
    for table in ("sealed", "removing"):
        change(output, f"DROP TABLE {table}")


def test_an_output_of_an_earlier_version(output: Path) -> None:
    forget_later_tables(output)
    assert verify(output).problems == []
    flip(output, REVISION_OF_2)
    assert "a result was changed" in verify(output).problems[0]
    with pytest.raises(DataError, match="a result was changed"):
        build(output, ROWS)
    flip(output, REVISION_OF_2[:1] + b"e" + REVISION_OF_2[2:])
    build(output, [*ROWS, prompt(7)])
    assert verify(output).problems == []


def test_a_column_of_a_later_version_changes_no_digest_where_it_is_empty(output: Path) -> None:
    before = read_manifest(output)[-1]["journal"]
    change(output, "ALTER TABLE results ADD COLUMN zz_later TEXT")
    assert verify(output).problems == []
    assert seal(output, "build", {"x": 1})["journal"] == before
    change(output, "UPDATE results SET zz_later = 'x' WHERE rowid = 2")
    with pytest.raises(DataError, match="of row row-"):
        build(output, ROWS)


def test_rows_of_one_run_are_merged_though_only_one_part_was_damaged(tmp_path: Path) -> None:
    rows: list[PromptRow] = ROWS
    parts = [build(tmp_path / f"part{at}.jsonl", rows, shard=(at + 1, 2)) for at in range(2)]
    flip(parts[1], b"QUESTION 3")
    with pytest.raises(DataError, match=r"part1\.jsonl.*revise of row row-3"):
        merge(parts, tmp_path / "pairs.jsonl")
    assert not list(tmp_path.glob("*pairs.jsonl*"))


def test_a_bit_flipped_anywhere_is_refused_or_does_no_harm(output: Path) -> None:
    whole, pairs = journal_path(output).read_bytes(), output.read_bytes()
    chance = random.Random(13)
    refused = 0
    for _ in range(30):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        journal_path(output).write_bytes(damaged)
        try:
            verify(output)
            build(output, ROWS)
        except ClairError as error:
            refused += error.exit_code == 3
        assert output.read_bytes() == pairs
    assert refused
