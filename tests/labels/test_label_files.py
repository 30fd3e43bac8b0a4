"""Labels in each accepted form, and what is said of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import DataError
from clairkit.labels.label_files import Label, read_labels

MESSAGES = [{"role": "user", "content": "2 + 2?"}]
REVISED = {"prompt": "2 + 2?", "answer": "5", "revision": "4", "label": "accept"}
PAIR = {
    "prompt": MESSAGES,
    "chosen": [{"role": "assistant", "content": "4"}],
    "rejected": [{"role": "assistant", "content": "5"}],
    "label": False,
    "source": "clair",
}
COMPARED = {"prompt": "2 + 2?", "a": "4", "b": "5", "label": " A "}


def read(tmp_path: Path, *rows: dict[str, Any], **options: Any) -> list[Label]:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return list(read_labels(path, **options))


@pytest.mark.parametrize(
    ("row", "form", "is_positive"),
    [
        (REVISED, "accepted", True),
        ({**REVISED, "label": "Reject"}, "accepted", False),
        ({**REVISED, "label": "true"}, "accepted", True),
        (PAIR, "accepted", False),
        ({**PAIR, "label": "accept"}, "accepted", True),
        (COMPARED, "compared", True),
        ({**COMPARED, "label": "b"}, "compared", False),
    ],
)
def test_forms(tmp_path: Path, row: dict[str, Any], form: str, is_positive: bool) -> None:
    (label,) = read(tmp_path, row)
    assert (label.form, label.is_positive) == (form, is_positive)
    assert (label.first, label.second) == ("4", "5")
    assert label.row.prompt == tuple(MESSAGES)


def test_other_columns_reach_functions_and_the_label_does_not_reach_models(tmp_path: Path) -> None:
    for row in (REVISED, COMPARED, PAIR):
        (label,) = read(tmp_path, {**row, "solution": "4"})
        assert label.row.extra["solution"] == "4"
        assert "label" not in label.row.extra


def test_labels_of_one_prompt_are_read_and_known_as_such(tmp_path: Path) -> None:
    labels = read(tmp_path, REVISED, {**REVISED, "revision": "four"}, {**REVISED, "who": "Ann"})
    assert len({label.id for label in labels}) == 3
    assert len({label.prompt for label in labels}) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**REVISED, "label": "maybe"}, "bad_label"),
        ({**REVISED, "label": None}, "leave out rows without a preference"),
        ({**REVISED, "label": 1}, "bad_label"),
        ({**COMPARED, "label": "tie"}, "bad_label"),
        ({**REVISED, "revision": " "}, "`revision` holds no text"),
        ({**COMPARED, "b": None}, "`b` holds no text"),
        ({"prompt": "p", "label": "a"}, "`a` holds no text"),
        ({"prompt": "p", "label": "accept"}, "missing_column"),
    ],
)
def test_bad_rows(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=r"labels\.jsonl:2: .*") as caught:
        read(tmp_path, REVISED, row)
    assert message in str(caught.value).replace("Leave", "leave").replace(". A row", ". a row")
    assert len(read(tmp_path, REVISED, row, skip_bad=True)) == 1


def test_a_row_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="duplicate_id"):
        read(tmp_path, REVISED, REVISED)
