"""The stream: read again, limited, counted; ids seen once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError, UsageError
from clairkit.records import leakage, read_pairs, read_prompts
from clairkit.records.stream import DigestSet

Maker = Callable[..., Any]


def test_a_stream_is_read_again_with_fresh_counts(jsonl: Maker, good_row: Maker) -> None:
    path = jsonl([good_row(1), "x", good_row(2), {"prompt": "a"}])
    stream = read_pairs(path, skip_bad=True)
    first = list(stream)
    assert list(stream) == first
    assert [pair.prompt[0]["content"] for pair in first] == ["What is 1?", "What is 2?"]
    assert stream.path == str(path)
    assert stream.skipped == {"bad_json": 1, "missing_column": 1}
    assert stream.examples == [f"{path}:2: bad_json", f"{path}:4: missing_column"]
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        list(stream)


def test_only_the_first_few_bad_rows_are_kept_as_examples(jsonl: Maker, good_row: Maker) -> None:
    stream = read_pairs(jsonl([good_row(1), *["x"] * 100]), skip_bad=True)
    assert len(list(stream)) == 1
    assert stream.skipped == {"bad_json": 100}
    assert len(stream.examples) == 5


def test_the_limit_counts_good_rows_and_reads_no_further(jsonl: Maker, good_row: Maker) -> None:
    path = jsonl([good_row(1), good_row(2), "garbage"])
    assert len(list(read_pairs(path, limit=2))) == 2
    assert len(list(read_pairs(jsonl(["x", good_row(1)]), limit=1, skip_bad=True))) == 1
    with pytest.raises(UsageError, match="at least 1"):
        read_pairs(path, limit=0)


def test_rows_that_are_all_bad_are_an_error_even_when_skipped(jsonl: Maker) -> None:
    path = jsonl(["x", "{}"])
    with pytest.raises(DataError, match=r"0 good rows in .*1 bad_json, 1 missing_column"):
        list(read_pairs(path, skip_bad=True))


def test_a_second_row_with_an_id_is_refused_and_skipped(jsonl: Maker, good_row: Maker) -> None:
    rows = [{**good_row(number), "id": name} for number, name in enumerate(["a", "b", "a"])]
    path = jsonl(rows)
    with pytest.raises(DataError, match=r"rows.jsonl:3: duplicate_id.*same id: received 'a'"):
        list(read_pairs(path))
    stream = read_pairs(path, skip_bad=True)
    assert [pair.prompt[0]["content"] for pair in stream] == ["What is 0?", "What is 1?"]
    assert stream.skipped == {"duplicate_id": 1}


def test_a_repeated_row_without_ids_is_named_as_that(jsonl: Maker, good_row: Maker) -> None:
    with pytest.raises(DataError, match="repeats an earlier one word for word"):
        list(read_pairs(jsonl([good_row(1), good_row(1)])))


@given(st.lists(st.integers(-(2**63), 2**64), max_size=3000))
def test_digest_set_equals_a_set(digests: list[int]) -> None:
    ours, theirs = DigestSet(), set()
    for digest in digests:
        known = digest % 2**64 or 1
        assert (digest in ours) == (known in theirs)
        assert ours.add(digest) == (known not in theirs)
        theirs.add(known)
    assert len(ours) == len(theirs)


def test_digest_set_grows_and_stays_small() -> None:
    ours = DigestSet()
    for number in range(50_000):
        assert ours.add(hash(str(number)))
    assert all(hash(str(number)) in ours for number in range(50_000))
    assert len(ours) == 50_000
    assert sys.getsizeof(ours._table) <= 24 * 50_000


def test_leakage_counts_evaluation_rows_with_a_training_prompt(
    jsonl: Maker, good_row: Maker
) -> None:
    train = read_pairs(jsonl([good_row(number) for number in range(5)], "train.jsonl"))
    rows = [
        {"prompt": f"What is {n}?{end}", "id": f"{n}{end}"}
        for n, end in [(3, ""), (4, " \n"), (5, ""), (3, "!"), (0, "")]
    ]
    found = leakage(train, read_prompts(jsonl(rows, "eval.jsonl")))
    assert (found.shared, found.total) == (3, 5)
    assert found.examples == ("3", "4 \n", "0")
    assert found
    assert not leakage(train, read_prompts(jsonl([{"prompt": "new"}], "eval.jsonl")))
