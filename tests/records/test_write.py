"""What is written is read back the same, by us and by `datasets`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError, UsageError
from clairkit.records import Pair, check_rows_output, read_pairs, write_pairs, write_rows
from clairkit.records.formats.strict_json import dump_line, parse_object

# Surrogates only alone: JSON joins a high one with a low one that follows.
TEXT = st.text() | st.text(st.characters(categories=["Cs"]), max_size=1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
CLEAN = st.text(st.characters(exclude_categories=["Cs"]))


def turn(role: str, content: str) -> Any:
    return {"role": role, "content": content}


def make_pair(number: int, **options: Any) -> Pair:
    return Pair(
        prompt=(turn("user", f"q{number} \u00e9\u3042\U0001f600\0\u202e"),),
        chosen=(turn("assistant", "yes"),),
        rejected=(turn("assistant", "no"),),
        **options,
    )


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_a_json_line_comes_back_the_same(row: dict[str, Any]) -> None:
    line = dump_line(row)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_object(line.decode("utf-8")) == row


def test_characters_stand_as_they_are_and_lone_surrogates_as_escapes() -> None:
    assert dump_line({"a": "\u3042\ud800"}) == '{"a": "\u3042\\ud800"}\n'.encode()


PAIRS = [
    make_pair(1),
    make_pair(2, rationale="why", source="clair", scores={"edit_share": 0.25, "flags": ["x"]}),
    make_pair(3, id="mine", scores={"other": 1}, provenance={"model": "m"}, extra={"lang": "ja"}),
]


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_pairs_written_as_lines_come_back_equal(tmp_path: Path, name: str) -> None:
    assert write_pairs(tmp_path / name, PAIRS) == 3
    assert list(read_pairs(tmp_path / name)) == PAIRS


@pytest.mark.parametrize("name", ["p.parquet", "folder"])
def test_pairs_written_as_tables_come_back_with_nulls_for_absent_columns(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert write_pairs(tmp_path / name, PAIRS) == 3
    found = list(read_pairs(tmp_path / name))
    assert [pair.extra for pair in found] == [{"lang": None}, {"lang": None}, {"lang": "ja"}]
    assert [{**pair.to_json(), "lang": 0} for pair in found] == [
        {**pair.to_json(), "lang": 0} for pair in PAIRS
    ]
    assert capfd.readouterr() == ("", "")


@given(st.lists(st.tuples(CLEAN, CLEAN), min_size=1, max_size=5, unique=True))
def test_any_text_survives_pair_files(
    tmp_path_factory: pytest.TempPathFactory, sides: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    pairs = [
        Pair((turn("user", "q"),), (turn("assistant", a),), (turn("assistant", b),))
        for a, b in sides
    ]
    for name in ("p.jsonl", "p.parquet"):
        write_pairs(folder / name, pairs, force=True)
        assert list(read_pairs(folder / name)) == pairs


def test_datasets_reads_what_we_write(tmp_path: Path) -> None:
    write_pairs(tmp_path / "p.jsonl", PAIRS)
    found = datasets.load_dataset(
        "json", data_files=str(tmp_path / "p.jsonl"), split="train", cache_dir=str(tmp_path / "c")
    )
    assert found.column_names[:4] == ["id", "prompt", "chosen", "rejected"]
    assert found[2]["prompt"] == list(PAIRS[2].prompt)
    write_pairs(tmp_path / "folder", PAIRS)
    assert datasets.load_from_disk(tmp_path / "folder")["id"][2] == "mine"


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_pairs(tmp_path / name, PAIRS)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_lines_are_streamed_and_a_failing_source_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_rows(path, [{"n": 1}])

    def rows() -> Iterator[dict[str, Any]]:
        yield {"n": 2}
        assert path.read_text() == '{"n": 1}\n'
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_rows(path, rows(), force=True)
    assert path.read_text() == '{"n": 1}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.jsonl"]


def test_an_existing_output_is_refused_before_a_row_is_asked_for(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        raise AssertionError("no row is wanted")
        yield {}

    for name in ("p.jsonl", "p.parquet", "folder"):
        write_rows(tmp_path / name, [{"n": 1}])
        with pytest.raises(UsageError, match="the output exists"):
            write_rows(tmp_path / name, rows())
        assert write_rows(tmp_path / name, [{"n": 2}, {"n": 3}], force=True) == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "p.jsonl", "p.parquet"]
    assert len(datasets.load_from_disk(tmp_path / "folder")) == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, b"x"])
def test_a_value_without_a_json_form_is_named_by_its_row(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError, match="row 2 has no form in JSON"):
        write_rows(tmp_path / "p.jsonl", [{"n": 1}, {"n": value}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("p.parquet", [1, "a"]),
        ("p.parquet", ["\ud800"]),
        ("p.parquet", [10**30]),
        ("p.parquet", [{}]),
        ("folder", [1, "a"]),
        ("folder", ["\ud800"]),
    ],
)
def test_a_value_without_an_arrow_form_names_the_column(
    tmp_path: Path, name: str, values: list[Any]
) -> None:
    rows = [{"id": str(number), "odd": value} for number, value in enumerate(values)]
    with pytest.raises(DataError, match=r"has no form in Arrow.*\.jsonl"):
        write_rows(tmp_path / name, rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["p.csv", "p.txt", "p.json"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"unknown kind of output file.*\.jsonl"):
        write_rows(tmp_path / name, [])


def test_key_order_is_that_of_the_row(tmp_path: Path) -> None:
    write_pairs(tmp_path / "p.jsonl", [make_pair(1, source="clair", rationale="r")])
    row = json.loads((tmp_path / "p.jsonl").read_text())
    assert list(row) == ["id", "prompt", "chosen", "rejected", "rationale", "source"]


@pytest.mark.parametrize("name", ["p.jsonl", "p.JSONL.gz", "p.parquet", "folder"])
def test_an_output_is_settled_before_its_rows_are_made(tmp_path: Path, name: str) -> None:
    assert check_rows_output(tmp_path / name) == tmp_path / name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "room", "words"),
    [
        ("p.csv", 0, r"Use \.jsonl"),
        ("x" * 250 + ".jsonl", 0, "longer than 255 bytes"),
        ("x" * 225 + ".jsonl", 25, "Use at most 230 bytes"),
    ],
)
def test_an_output_that_no_rows_can_go_to_is_refused(
    tmp_path: Path, name: str, room: int, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_rows_output(tmp_path / name, room=room)
    assert check_rows_output(tmp_path / ("x" * 224 + ".jsonl"), room=25)
