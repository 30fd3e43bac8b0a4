"""The folder of an evaluation as a source of items."""

from __future__ import annotations

from pathlib import Path

import pytest
from eval_folders import write_evaluation

from clairkit.errors import DataError, UsageError
from clairkit.labels.draw import shown_population
from clairkit.labels.evaluated import is_evaluation, read_evaluated

ANSWERS = {"old": ["one", "two", ""], "new": ["uno", "I am new-7b.", "tre"]}


def test_the_baseline_is_b_wherever_it_stands(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "EVAL", ANSWERS)
    assert is_evaluation(str(folder))
    assert not is_evaluation(str(tmp_path))
    found = read_evaluated(folder)
    assert [(item.id, item.a, item.b) for item in found.items] == [
        ("p000", "uno", "one"),
        ("p001", "I am new-7b.", "two"),
        ("p002", "tre", ""),
    ]
    assert found.items[0].names == ("new", "old")
    assert found.items[0].prompt[0]["content"] == "Question 0?"
    assert found.specs == ("hf:made/new-7b", "hf:made/old-7b")


def test_an_answer_that_names_its_models_spec_is_left_out(tmp_path: Path) -> None:
    found = read_evaluated(write_evaluation(tmp_path / "EVAL", ANSWERS))
    population, left_out = shown_population(found.items, found.specs)
    assert [item.id for item in population] == ["p000"]
    assert left_out["names_a_model"] == ["p001"]
    assert left_out["no_answer"] == ["p002"]


def test_of_three_models_two_must_be_named(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "EVAL", {**ANSWERS, "third": ["1", "2", "3"]})
    with pytest.raises(UsageError, match=r"has 3 models.*'old, new, third'.*--models"):
        read_evaluated(folder)
    found = read_evaluated(folder, ["old", "third"])
    assert (found.items[0].a, found.items[0].b) == ("one", "1")
    for names in (["old"], ["old", "old"], ["old", "fourth"], ["old", "new", "third"]):
        with pytest.raises(UsageError, match="Name two of old, new, third"):
            read_evaluated(folder, names)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "EVAL", ANSWERS)
    (folder / "eval.json").write_text("{}")
    with pytest.raises(DataError, match="not what `clairkit evaluate` writes"):
        read_evaluated(folder)
    with pytest.raises(DataError, match="can't be read"):
        read_evaluated(tmp_path)
    folder = write_evaluation(tmp_path / "EVAL", ANSWERS)
    (folder / "items.jsonl").write_text('{"kind": "answer", "model": "new", "id": "p0"}\n')
    with pytest.raises(DataError, match=r"items.jsonl:1: an answer has no column 'prompt'"):
        read_evaluated(folder)
