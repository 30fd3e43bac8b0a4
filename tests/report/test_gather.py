"""What a page is made of is found, put together, and refused when it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pair_rows import row, write

from clairkit.errors import DataError, UsageError
from clairkit.records import digest
from clairkit.report import gather

ROWS = [row(2, "b", "a"), row(1, "d", "c", rationale="why")]


def test_a_pair_in_two_files_is_one_with_the_scores_of_both(tmp_path: Path) -> None:
    plain = write(tmp_path / "pairs.jsonl", ROWS)
    scored = write(
        tmp_path / "scored.jsonl",
        [row(1, "d", "c", scores={"edit_share_chosen": 0.5}), row(3, "f", "e")],
    )
    found = gather([plain, scored])
    assert [pair.id for pair in found.pairs] == ["row00001", "row00002", "row00003"]
    assert found.pairs[0].scores == {"edit_share_chosen": 0.5}
    assert found.pairs[0].rationale == "why"
    assert found.files == {
        "row00001": "pairs.jsonl",
        "row00002": "pairs.jsonl",
        "row00003": "scored.jsonl",
    }
    assert found.names == ["pairs.jsonl", "scored.jsonl"]


def test_what_build_pairs_left_is_found_by_its_name(tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", ROWS)
    bad = [
        {
            "id": str(at),
            "reason": "no_op" if at else "refusal",
            "detail": "d" * 500,
            "prompt": [{"role": "user", "content": f"question {at}"}],
            "answer": "a",
        }
        for at in range(6)
    ]
    write(tmp_path / "pairs.jsonl.quarantine.jsonl", bad)
    (tmp_path / "pairs.jsonl.health.json").write_text('{"state": "healthy"}')
    (build,) = gather([pairs]).builds
    assert [(each.code, each.count, len(each.examples)) for each in build.reasons] == [
        ("no_op", 5, 3),
        ("refusal", 1, 1),
    ]
    assert build.reasons[1].examples[0][:2] == ("0", "question 0")
    assert len(build.reasons[1].examples[0][2]) == 240
    assert build.health == {"state": "healthy"}
    assert build.entry == {}


def test_a_run_is_known_by_its_files(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text('{"steps": 3}')
    pairs = write(tmp_path / "pairs.jsonl", ROWS)
    with pytest.raises(DataError, match="no metrics"):
        gather([pairs, str(run)])
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "lo')
    (found,) = gather([str(run), pairs]).runs
    assert (found.name, found.facts, found.rows) == (
        "run",
        {"steps": 3},
        [{"step": 1, "loss": 1.0}],
    )


def test_pairs_are_needed(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1}))
    with pytest.raises(UsageError, match="no pairs to show"):
        gather([str(tmp_path)])


def test_a_manifest_that_was_changed_is_refused(tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", ROWS)
    entry = {"settings": {"k": 1}, "counts": {"no_op": 3}, "files": {}, "previous": "0" * 64}
    sealed = {**entry, "hash": digest(entry)}
    manifest = tmp_path / "pairs.jsonl.manifest.jsonl"
    write(manifest, [sealed])
    assert gather([pairs]).builds[0].entry == sealed
    write(manifest, [{**sealed, "counts": {"no_op": "three"}}])
    with pytest.raises(DataError, match="line 1 was changed after it was written"):
        gather([pairs])


@pytest.mark.parametrize("content", ["{", "[]", "\xff", "[" * 100_000])
def test_damaged_files_are_refused(tmp_path: Path, content: str) -> None:
    pairs = write(tmp_path / "pairs.jsonl", ROWS)
    health = tmp_path / "pairs.jsonl.health.json"
    health.write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=r"health\.json"):
        gather([pairs])
