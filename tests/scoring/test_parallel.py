"""Several processes give what one gives, whatever the order of the pairs."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import DataError, ResourceError
from clairkit.records import Pair, write_pairs
from clairkit.scoring import BenchmarkIndex, Checks, score_pair, score_pairs
from clairkit.scoring import many as scoring

WORDS = ["the", "cat", "sat", "on", "東京", "mat", "ไทย", "👩\u200d👧", "and", "then", "more"]


def pairs(count: int) -> list[Pair]:
    draw = random.Random(0)

    def side() -> tuple[Any, ...]:
        text = " ".join(draw.choice(WORDS) for _ in range(draw.randint(0, 30)))
        return ({"role": "assistant", "content": text},)

    prompt = ({"role": "user", "content": "Why?"},)
    return [
        Pair(prompt, side(), side(), id=f"{at:04}", extra={"at": at % 3}) for at in range(count)
    ]  # type: ignore[arg-type]


@pytest.fixture
def tokenizer() -> Any:
    from clairkit import quickstart
    from clairkit.scoring import load_tokenizer

    return load_tokenizer(str(Path(quickstart.__file__).parent / "model"))


def test_two_workers_and_a_shuffled_input_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_FEW", 10)
    rows = pairs(300)
    checks = Checks(benchmark=BenchmarkIndex.of(["the cat sat"]))
    expected = score_pairs(rows, checks=checks, by="at")
    assert [scores.flags for scores in expected.scores] != [()] * 300
    write_pairs(tmp_path / "1.jsonl", expected.pairs)
    random.Random(1).shuffle(rows)
    found = score_pairs(rows, checks=checks, by="at", workers=2)
    assert found == expected
    write_pairs(tmp_path / "2.jsonl", found.pairs)
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_results_come_in_the_order_of_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_FEW", 10)
    monkeypatch.setattr(scoring, "_PAIRS", 5)
    rows = pairs(100)
    found = list(scoring.scored(iter(rows), None, Checks(), workers=2))
    assert [pair for pair, _, _ in found] == rows
    expected = scoring.score_batch(rows, None, Checks())
    assert [(scores, findings) for _, scores, findings in found] == expected


def test_few_pairs_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(scoring, "ProcessPoolExecutor", refuse)
    assert len(score_pairs(pairs(999), workers=4).scores) == 999
    with pytest.raises(AssertionError):
        score_pairs(pairs(1001), workers=4)


def test_a_batch_of_texts_has_the_tokens_of_each(tokenizer: Any) -> None:
    rows = pairs(70)  # more than one batch
    found = [replace(scores, flags=()) for scores in score_pairs(rows, tokenizer).scores]
    one_by_one = (score_pair(row.prompt, row.chosen, row.rejected, tokenizer) for row in rows)
    assert found == [
        replace(scores, flags=()) for scores in one_by_one
    ]  # outliers are told of many


def test_a_worker_that_refuses_a_pair_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_FEW", 1)
    rows = pairs(3)
    marks = [chr(at) for at in range(0xE0100, 0xE01F0)]  # each makes another cluster of a letter
    many = "".join(chr(0x4E00 + at) + mark for at in range(4_700) for mark in marks)
    rows[1] = Pair(rows[1].prompt, rows[1].chosen, ({"role": "user", "content": many},), id="wide")
    with pytest.raises(DataError, match="pair wide: a pair can have at most"):
        score_pairs(rows, workers=2)


class OnlyHere:
    """A tokenizer that ends every process which it is sent to."""

    name_or_path = "here"

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return os._exit, (1,)

    def __call__(self, texts: list[str], **_: object) -> dict[str, list[list[int]]]:
        return {"input_ids": [[len(text)] for text in texts]}


def test_a_worker_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_FEW", 1)
    assert len(score_pairs(pairs(3), OnlyHere()).scores) == 3
    with pytest.raises(ResourceError, match="a worker process ended"):
        score_pairs(pairs(3), OnlyHere(), workers=2)


def test_batches_are_small_by_count_and_by_size() -> None:
    many = pairs(130)
    assert [len(batch) for batch in scoring._batches(many)] == [64, 64, 2]
    long = Pair(many[0].prompt, many[0].chosen, ({"role": "user", "content": "x" * 2_000_000},))
    assert [len(batch) for batch in scoring._batches([many[0], long, many[1]])] == [2, 1]
