"""Merging: shards give what one run gives, to the byte; what differs is refused or done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from outputs import build, prompt, renamed, unasked

from clairkit.audit.merge import merge
from clairkit.audit.merge_journals import merge_journals
from clairkit.audit.remove import remove
from clairkit.audit.verify import verify
from clairkit.errors import DataError, UsageError
from clairkit.journal.files import rows_of
from clairkit.journal.manifest import quarantine_path, read_manifest
from clairkit.journal.results import Journal, journal_path
from clairkit.records import PromptRow


def keeps_odd(text: str) -> str:
    """Revises every other answer, and changes a number, which is flagged."""
    return text if text[-1] in "13579" else text.upper().replace("QUESTION ", "QUESTION 7")


def shards(folder: Path, rows: list[PromptRow], count: int, **options: Any) -> list[Path]:
    """Outputs of each `count`-th row, as `--shard` makes them."""
    return [
        build(
            folder / f"part{at}.jsonl",
            rows,
            shard=(at + 1, count),
            **{"revise": keeps_odd, **options},
        )
        for at in range(count)
    ]


# Twins in one shard (0 and 8), in two (2 and 3), and three of a kind over two shards (4, 5, 9).
ROWS = [prompt(n) for n in range(8)]
ROWS += [renamed(prompt(0), "twin-0"), renamed(prompt(4), "twin-4b"), prompt(10)]
ROWS[3], ROWS[5] = renamed(prompt(2), "twin-2"), renamed(prompt(4), "twin-4")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shards_give_what_one_run_gives(tmp_path: Path, count: int) -> None:
    whole = build(tmp_path / "whole" / "pairs.jsonl", ROWS, revise=keeps_odd)
    output = tmp_path / "pairs.jsonl"
    done = merge(shards(tmp_path, ROWS, count), output)
    assert output.read_bytes() == whole.read_bytes()
    assert quarantine_path(output).read_bytes() == quarantine_path(whole).read_bytes()
    assert (done.rows, done.pairs, done.unfinished) == (11, 5, 0)
    assert done.counts == {"duplicate": 4, "no_op": 2}
    (run,) = read_manifest(whole)
    assert {
        name: done.entry[name] for name in ("settings", "rows", "pairs", "counts", "flags")
    } == {name: run[name] for name in ("settings", "rows", "pairs", "counts", "flags")}
    assert done.entry["flags"] == {"numbers_changed": 5}
    assert verify(output).problems == []


def test_a_build_goes_on_with_the_merged_output(tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    merge(shards(tmp_path, ROWS, 3), output)
    before = output.read_bytes()
    build(output, ROWS, revise=unasked)
    assert output.read_bytes() == before
    assert [entry["event"] for entry in read_manifest(output)] == ["merge", "build"]


def test_parts_stay_as_they_are_and_are_named(tmp_path: Path) -> None:
    parts = shards(tmp_path, ROWS, 2)
    before = [part.read_bytes() for part in parts]
    merge(parts, tmp_path / "pairs.jsonl")
    assert [part.read_bytes() for part in parts] == before
    assert [verify(part).problems for part in parts] == [[], []]
    (entry,) = read_manifest(tmp_path / "pairs.jsonl")
    assert entry["parts"] == [verify(part).head for part in parts]
    assert entry["calls"] == sum(read_manifest(part)[-1]["calls"] for part in parts)
    assert entry["tokens"] == {"prompt": 10 * entry["calls"], "completion": 5 * entry["calls"]}


def test_outputs_of_other_prompts_come_one_after_the_other(tmp_path: Path) -> None:
    first = build(tmp_path / "a.jsonl", ROWS[:4], revise=keeps_odd)
    second = build(tmp_path / "b.jsonl", ROWS[4:], revise=keeps_odd)
    whole = build(tmp_path / "whole" / "pairs.jsonl", ROWS, revise=keeps_odd)
    merge([first, second], tmp_path / "pairs.jsonl")
    assert (tmp_path / "pairs.jsonl").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs", "pairs.jsonl.gz"])
def test_one_part_in_another_form(tmp_path: Path, name: str) -> None:
    (part,) = shards(tmp_path, ROWS, 1)
    done = merge([part], tmp_path / name)
    assert done.pairs == 5
    assert list(rows_of(tmp_path / name)) == list(rows_of(part))
    assert verify(tmp_path / name).problems == []


def test_what_a_part_has_not_done_is_left_to_do(tmp_path: Path) -> None:
    parts = shards(tmp_path, ROWS, 2, stop_after=3)
    output = tmp_path / "pairs.jsonl"
    done = merge(parts, output)
    assert (done.pairs, done.unfinished, done.counts) == (3, 3, {"duplicate": 4, "no_op": 1})
    build(output, ROWS, revise=keeps_odd)
    whole = build(tmp_path / "whole" / "pairs.jsonl", ROWS, revise=keeps_odd)
    assert output.read_bytes() == whole.read_bytes()


def fails(text: str) -> str:
    raise ValueError("no luck")


@pytest.mark.parametrize("first", ["replies", "failures"])
def test_a_reply_counts_before_a_failure(tmp_path: Path, first: str) -> None:
    rows = [prompt(0), renamed(prompt(0), "twin"), prompt(2)]
    good = build(tmp_path / "a.jsonl", rows[:1])
    bad = build(tmp_path / "b.jsonl", rows[1:], revise=fails)
    output = tmp_path / "pairs.jsonl"
    parts = [good, bad] if first == "replies" else [bad, good]
    assert merge(parts, output).unfinished == 1  # the twin; its failure is none any more
    kept = rows if first == "replies" else [*rows[1:], rows[0]]
    build(output, kept, revise=unasked)
    assert [pair["provenance"]["row"] for pair in rows_of(output)] == [kept[0].id]
    assert {row["id"]: row["reason"] for row in rows_of(quarantine_path(output))} == {
        "row-2": "bad_request",
        {"row-0": "twin", "twin": "row-0"}[kept[0].id]: "duplicate",
    }


def test_of_two_replies_to_one_request_the_first_counts(tmp_path: Path) -> None:
    rows = [prompt(0), renamed(prompt(0), "twin"), prompt(2)]
    parts = [
        build(tmp_path / "a.jsonl", rows[:1]),
        build(tmp_path / "b.jsonl", rows[1:], revise=str.title),
    ]
    output = tmp_path / "pairs.jsonl"
    done = merge(parts, output)
    assert (done.pairs, done.unfinished) == (2, 1)
    build(output, rows, revise=unasked)
    said = {pair["provenance"]["row"]: pair["chosen"][0]["content"] for pair in rows_of(output)}
    assert said == {"row-0": "I SAY SECRET QUESTION 0", "row-2": "I Say Secret Question 2"}
    assert verify(output).problems == []


def test_the_same_row_in_two_parts_is_one_row(tmp_path: Path) -> None:
    rows = [prompt(0), prompt(1), prompt(2)]
    parts = [
        build(tmp_path / "a.jsonl", rows[:2], revise=keeps_odd),
        build(tmp_path / "b.jsonl", rows, revise=keeps_odd),
    ]
    done = merge(parts, tmp_path / "pairs.jsonl")
    assert (done.rows, done.pairs, done.counts, done.unfinished) == (3, 2, {"no_op": 1}, 0)


def test_different_rows_of_the_same_id_are_refused(tmp_path: Path) -> None:
    first = [prompt(0), prompt(1)]
    other = [prompt(2), renamed(prompt(3), "row-1")]
    parts = [build(tmp_path / "a.jsonl", first), build(tmp_path / "b.jsonl", other)]
    with pytest.raises(DataError, match="different rows of the same id: received 'row-1'"):
        merge(parts, tmp_path / "pairs.jsonl")
    assert not list(tmp_path.glob("*pairs.jsonl*[!k]"))  # but for the lock


def test_other_settings_are_refused(tmp_path: Path) -> None:
    parts = [
        build(tmp_path / "a.jsonl", [prompt(0)]),
        build(tmp_path / "b.jsonl", [prompt(1)], version=2),
    ]
    with pytest.raises(UsageError, match=r"b\.jsonl.*reviser\.version: 1 -> 2"):
        merge(parts, tmp_path / "pairs.jsonl")
    assert not list(tmp_path.glob("*pairs.jsonl*"))


def test_a_changed_part_is_refused(tmp_path: Path) -> None:
    parts = shards(tmp_path, ROWS, 2)
    parts[1].write_text(parts[1].read_text().replace("QUESTION", "answer"))
    with pytest.raises(DataError, match=r"part1\.jsonl is not what the last run wrote"):
        merge(parts, tmp_path / "pairs.jsonl")
    assert not list(tmp_path.glob("*pairs.jsonl*"))


def test_a_part_at_work_is_refused(tmp_path: Path) -> None:
    parts = shards(tmp_path, ROWS, 2)
    journal = Journal(parts[1])
    try:
        with pytest.raises(UsageError, match="is working on this output"):
            merge(parts, tmp_path / "pairs.jsonl")
    finally:
        journal.close()


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    parts = shards(tmp_path, ROWS, 2)
    output = tmp_path / "pairs.jsonl"
    merge(parts, output)
    with pytest.raises(UsageError, match="--force"):
        merge(parts, output)
    output.unlink()
    with pytest.raises(UsageError, match="has a journal"):
        merge(parts, output)
    assert merge(parts, output, force=True).pairs == 5
    for named in ([parts[0], parts[0]], [output, parts[0]]):
        with pytest.raises(UsageError, match="named twice"):
            merge(named, output, force=True)


def test_a_removed_row_stays_removed(tmp_path: Path) -> None:
    parts = shards(tmp_path, ROWS, 2)
    remove(parts[0], ["row-2"])
    output = tmp_path / "pairs.jsonl"
    merge(parts, output)
    build(output, ROWS, revise=keeps_odd)
    assert "row-2" not in {pair["provenance"]["row"] for pair in rows_of(output)}
    again = build(tmp_path / "c.jsonl", ROWS, revise=keeps_odd)
    with pytest.raises(DataError, match="removed from one part and is still in another"):
        merge([parts[0], again], tmp_path / "more.jsonl")


def test_a_merge_that_breaks_leaves_no_journal(tmp_path: Path) -> None:
    parts = [journal_path(part) for part in shards(tmp_path, ROWS, 2)]
    parts[1].write_bytes(parts[1].read_bytes()[:5000])
    with pytest.raises(DataError):
        merge_journals(parts, tmp_path / "x.sqlite")
    assert not list(tmp_path.glob("*x.sqlite*"))
