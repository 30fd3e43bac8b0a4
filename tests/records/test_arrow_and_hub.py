"""Parquet, `datasets` folders and the Hub."""

from __future__ import annotations

import datetime
import decimal
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from clairkit.errors import DataError, RemoteError
from clairkit.records import read_pairs, read_prompts

Maker = Callable[..., Any]


def write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def test_parquet_values_become_json_values(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "rows.parquet",
        {
            "prompt": ["a", "b"],
            "score": [float("nan"), 0.5],
            "day": [datetime.date(2024, 1, 2), None],
            "at": [datetime.datetime(2024, 1, 2, 3), None],
            "price": [decimal.Decimal("1.10"), None],
            "tags": [["x"], []],
            "provenance": [{"a": 1, "b": None}, {"a": None, "b": 2}],
        },
    )
    first, second = (row.extra for row in read_prompts(path))
    assert first == {
        "score": None,
        "day": "2024-01-02",
        "at": "2024-01-02T03:00:00",
        "price": "1.10",
        "tags": ["x"],
        "provenance": {"a": 1},
    }
    assert second["provenance"] == {"b": 2}


def test_parquet_messages_and_row_numbers(tmp_path: Path) -> None:
    turns = [[{"role": "user", "content": f"q{n}"}] for n in range(200)]
    sides = [[{"role": "assistant", "content": f"a{n}"}] for n in range(200)]
    columns = {"prompt": turns, "chosen": sides, "rejected": [*sides[:150], None, *sides[151:]]}
    path = write_parquet(tmp_path / "rows.parquet", columns, row_group_size=70)
    with pytest.raises(
        DataError, match=r"rows\.parquet:151: null_value: column `rejected` is null"
    ):
        list(read_pairs(path))
    assert sum(1 for _ in read_pairs(path, skip_bad=True)) == 199


@pytest.mark.parametrize(
    ("value", "reason"), [(b"\xff\xd8", "not_text"), (float("inf"), "bad_number")]
)
def test_values_without_a_json_form_are_refused_by_column(
    tmp_path: Path, value: Any, reason: str
) -> None:
    path = write_parquet(tmp_path / "rows.parquet", {"prompt": ["a"], "odd": [value]})
    with pytest.raises(DataError, match=f"rows.parquet:1: {reason}: column `odd`"):
        list(read_prompts(path))


def test_broken_text_in_parquet_costs_one_row(tmp_path: Path) -> None:
    bad = pyarrow.array([b"good", b"\xff\xfe", b"fine"]).view(pyarrow.string())
    path = write_parquet(tmp_path / "rows.parquet", {"prompt": bad})
    stream = read_prompts(path, skip_bad=True)
    assert [row.prompt[0]["content"] for row in stream] == ["good", "fine"]
    assert stream.skipped == {"bad_unicode": 1}
    assert stream.examples == [f"{path}:2: bad_unicode"]


def test_a_parquet_row_over_the_cap_is_a_fault(tmp_path: Path) -> None:
    columns = {"prompt": ["a", "b", "c"], "note": ["", "x" * (17 * 2**20), ""]}
    stream = read_prompts(write_parquet(tmp_path / "rows.parquet", columns), skip_bad=True)
    assert [row.prompt[0]["content"] for row in stream] == ["a", "c"]
    assert stream.skipped == {"too_large": 1}


def test_parquet_is_streamed(tmp_path: Path) -> None:
    columns = {
        "prompt": [f"{n}" for n in range(8000)],
        "note": [f"{n}" * 1000 for n in range(8000)],
    }
    path = write_parquet(tmp_path / "rows.parquet", columns, row_group_size=500)
    del columns
    tracemalloc.start()
    assert sum(1 for _ in read_prompts(path)) == 8000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_damaged_parquet_is_one_line(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "rows.parquet", {"prompt": ["a" * 1000] * 1000})
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], whole[:4] + b"\0" * 200 + whole[204:]):
        path.write_bytes(data)
        with pytest.raises(DataError, match="cannot be read") as caught:
            list(read_prompts(path))
        assert "\n" not in str(caught.value)
    write_parquet(path, {"prompt": pyarrow.array([], pyarrow.string())})
    with pytest.raises(DataError, match="0 rows in"):
        list(read_prompts(path))


def save(path: Path, data: Any) -> Path:
    data.save_to_disk(path)
    return path


def test_a_saved_folder_is_read_with_its_selection(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"prompt": ["a", "b", "c"], "n": [1, 2, 3]})
    rows = list(read_prompts(save(tmp_path / "data", data.select([2, 0]))))
    assert [(row.prompt[0]["content"], row.extra) for row in rows] == [
        ("c", {"n": 3}),
        ("a", {"n": 1}),
    ]


def test_of_several_splits_one_must_be_named(tmp_path: Path) -> None:
    part = datasets.Dataset.from_dict({"prompt": ["a"]})
    one = save(tmp_path / "one", datasets.DatasetDict({"train": part}))
    assert len(list(read_prompts(one))) == 1
    two = save(tmp_path / "two", datasets.DatasetDict({"train": part, "test": part}))
    with pytest.raises(
        DataError, match=r"has 2 splits: received 'train, test'. Name one, as .*SPLIT"
    ):
        list(read_prompts(two))
    assert len(list(read_prompts(two / "test"))) == 1


def test_a_damaged_folder_is_one_line(tmp_path: Path) -> None:
    folder = save(tmp_path / "data", datasets.Dataset.from_dict({"prompt": ["a"] * 100}))
    next(folder.glob("*.arrow")).write_bytes(b"ARROW1 no more")
    with pytest.raises(DataError, match="cannot be read"):
        list(read_prompts(folder))
    (folder / "state.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        list(read_prompts(folder))


def hub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[Any, ...]]:
    """Let the Hub answer with splits of rows, or an error; returns the list of calls."""
    calls: list[tuple[Any, ...]] = []

    def load(*arguments: Any, **options: Any) -> Any:
        calls.append((arguments, options))
        if isinstance(answer, Exception):
            raise answer
        return {
            split: datasets.Dataset.from_list(rows).to_iterable_dataset()
            for split, rows in answer.items()
        }

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


def test_the_hub_is_streamed_and_nothing_loaded_before_iterating(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = hub(monkeypatch, {"train": [{"prompt": "a", "chosen": "b", "rejected": "c"}]})
    stream = read_pairs("org/name")
    assert calls == []
    assert [pair.prompt[0]["content"] for pair in stream] == ["a"]
    assert calls == [(("org/name",), {"streaming": True})]


def test_hub_splits_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, {"train": [{"prompt": "a"}], "test": [{"prompt": "b"}]})
    assert [row.prompt[0]["content"] for row in read_prompts("org/name:test")] == ["b"]
    with pytest.raises(
        DataError, match=r"hf://org/name: no such split: received 'dev'.*train, test"
    ):
        list(read_prompts("hf://org/name:dev"))
    with pytest.raises(DataError, match="has 2 splits: received 'train, test'"):
        list(read_prompts("org/name"))


def test_hub_rows_are_checked_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, {"train": [{"prompt": "a"}, {"prompt": None}]})
    with pytest.raises(DataError, match="org/name:2: null_value: column `prompt` is null"):
        list(read_prompts("org/name"))


def test_hub_failures_have_their_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets.exceptions import DatasetNotFoundError

    hub(monkeypatch, DatasetNotFoundError("Dataset 'org/name' doesn't exist\non the Hub"))
    with pytest.raises(DataError, match=r"doesn't exist\. Check the name") as caught:
        list(read_prompts("org/name"))
    assert "\n" not in str(caught.value)
    for error in (ConnectionError("down"), OSError("offline"), RuntimeError("closed")):
        hub(monkeypatch, error)
        with pytest.raises(RemoteError, match="hf://org/name cannot be read") as remote:
            list(read_prompts("org/name"))
        assert remote.value.exit_code == 6
