"""JSON arrays, objects with a list, and CSV."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.errors import DataError
from clairkit.records import read_pairs, read_prompts
from clairkit.records.formats import json_file
from clairkit.records.source import Source

Maker = Callable[..., Any]
ROWS = [{"prompt": f"p{number}", "n": number} for number in range(3)]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text()
    | st.floats(-1e300, 1e300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def texts(path: Path, **options: Any) -> list[str]:
    return [row.prompt[0]["content"] for row in read_prompts(path, **options)]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\ufeff" + json.dumps(ROWS) + "\r\n\r\n",
        json.dumps({"version": "1", "meta": {"a": [1]}, "data": ROWS}),
        json.dumps({"rows": ROWS, "total": 3}, indent=1),
        "\n".join(json.dumps(row) for row in ROWS),
    ],
    ids=["array", "indented", "mark", "object", "indented object", "lines"],
)
def test_every_json_layout_gives_the_rows(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    assert texts(path) == ["p0", "p1", "p2"]


@given(
    rows=st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6),
    indent=st.none() | st.just(1),
    chunk=st.integers(1, 70),
)
def test_an_array_read_in_chunks_equals_one_read_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: int | None, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("array") / "rows.json"
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    path.write_bytes(text.encode("utf-8", "backslashreplace"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_file, "_CHUNK", chunk)
        found = list(json_file.json_rows(Source(str(path), "json")))
    assert [row for _, row in found] == json.loads(path.read_bytes())
    if indent is None:
        assert {line for line, _ in found} <= {1}


def test_an_array_named_jsonl_is_told_its_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for indent in (None, 1):
        path.write_text(json.dumps(ROWS, indent=indent))
        with pytest.raises(DataError, match=r"rows\.jsonl:1: .* one array must be named \.json"):
            texts(path)


def test_rows_that_hold_lists_are_rows_when_there_are_several(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"question": "a", "tags": [1]}\n{"question": "b", "tags": [2]}\n')
    with pytest.raises(DataError, match="Rename `question` to `prompt`"):
        texts(path)


def test_a_bad_element_is_named_by_its_line_and_can_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(
        '[\n{"prompt": "a"},\n\n{"prompt": NaN},\n7,\n{"prompt": "b", "prompt": "c"},'
        '\n{"prompt": "d"}]'
    )
    with pytest.raises(DataError, match=r"rows\.json:4: bad_number: NaN is not JSON"):
        texts(path)
    stream = read_prompts(path, skip_bad=True)
    assert [row.prompt[0]["content"] for row in stream] == ["a", "d"]
    assert stream.skipped == {"bad_number": 1, "bad_json": 1, "duplicate_key": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[\n{"prompt": "a"},\n{"prompt": ',
            ":3: torn_json: the file stops in the middle|:3: bad_json",
        ),
        ('[{"prompt": "a"}', "torn_json"),
        ('[{"prompt": "a"} {"prompt": "b"}]', "bad_json: `]` was expected"),
        ('[\n{"prompt": "a"},\n{prompt: 1}]', ":3: bad_json: not JSON"),
        ("[" * 100_000, "too_deep"),
        ('[{"a": ' + "[" * 200 + "]" * 200 + "}]", "too_deep"),
        ('{\n"prompt": "a"}', "one single row over several lines"),
        ('{"a": [], "b": []}', "two lists, `a` and `b`"),
        ('{"a": [{"prompt": "x"}]', "torn_json"),
        ("[]", "0 rows in"),
        ('{"data": []}', "0 rows in"),
        ('"text"', "this is a single value"),
        ("garbage", "bad_json: not JSON"),
    ],
)
def test_a_broken_json_file_is_an_error_with_its_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(DataError, match=problem):
        texts(path)


def test_a_large_array_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    with path.open("w") as file:
        file.write("[\n")
        file.writelines(
            json.dumps({"prompt": f"{n}", "t": "z" * 4000}) + ",\n" for n in range(6000)
        )
        file.write('{"prompt": "last"}]')
    tracemalloc.start()
    assert sum(1 for _ in read_prompts(path)) == 6001
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 20 * 2**20
    assert peak < 8 * 2**20


def test_an_element_over_the_cap_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[\n{"prompt": "' + "x" * (20 * 2**20) + '"}]')
    with pytest.raises(DataError, match=r"rows\.json:2: too_large"):
        texts(path)


def table(path: Path, rows: list[list[str]], **options: Any) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, **options).writerows(rows)
    return path


def test_csv_cells_hold_texts_or_messages_as_json(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": 'Say "hi",\nplease'}]
    path = table(
        tmp_path / "rows.csv",
        [
            ["prompt", "chosen", "rejected", "id", "scores", "lang"],
            [json.dumps(turns), "[not messages]", "b,\r\nc", "", '{"a": 1}', ""],
            ["plain", "a\0b", "", "x", "", "=cmd()"],
        ],
    )
    first, second = read_pairs(path)
    assert first.prompt == tuple(turns)
    assert (first.chosen[0]["content"], first.rejected[0]["content"]) == (
        "[not messages]",
        "b,\r\nc",
    )
    assert (len(first.id), first.scores, first.extra) == (16, {"a": 1}, {"lang": ""})
    assert (second.id, second.chosen[0]["content"], second.extra) == (
        "x",
        "a\0b",
        {"lang": "=cmd()"},
    )
    assert second.rejected[0]["content"] == ""


@given(
    cells=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_csv_texts_come_back(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    table(
        path,
        [["prompt", "note"], *(["p", cell + str(n)] for n, cell in enumerate(cells))],
        quoting=csv.QUOTE_ALL,
    )
    rows = list(read_prompts(path, skip_bad=True))
    assert rows[0].extra == {"note": cells[0] + "0"}


def test_csv_faults_name_the_line_the_record_begins_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        'prompt,answer\n"two\nlines",a\nb\n"c"d,e\n\n'
        "\"[{'role': 'user', 'content': 'x'}]\",f\n\"[{\"\"role\"\": 1]\",g\nlast,h\n"
    )
    with pytest.raises(DataError, match=r"rows.csv:4: bad_csv: 1 cells in a table of 2 columns"):
        texts(path)
    stream = read_prompts(path, skip_bad=True)
    assert [row.answer for row in stream] == ["a", "h"]
    assert stream.skipped == {"bad_csv": 2, "bad_json": 2}
    assert [example.split(":")[1] for example in stream.examples] == ["4", "5", "7", "8"]


def test_csv_with_an_unclosed_quote_or_a_repeated_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('prompt\n"never closed\nx\n')
    with pytest.raises(DataError, match=r"rows\.csv:2: bad_csv"):
        texts(path)
    path.write_text("prompt,prompt\na,b\n")
    with pytest.raises(DataError, match=r"rows\.csv:1: two columns have the same name"):
        texts(path)


def test_csv_cells_beyond_the_usual_limit_are_read(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv", [["prompt"], ["x" * 300_000]])
    assert [len(text) for text in texts(path)] == [300_000]
    assert io.BytesIO(path.read_bytes()).readline() == b"prompt\r\n"
