"""Texts of a benchmark found again in pairs, in scripts with and without spaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.errors import DataError
from clairkit.records import Pair
from clairkit.scoring import BenchmarkIndex, Checks, score_pairs
from clairkit.scoring.checks import read_benchmark
from clairkit.scoring.copies import is_spaceless, letters_of, ngrams, words_of

QUESTION = (
    "A train leaves Lyon at seven and travels at ninety kilometres an hour; "
    "when does it reach Turin?"
)
JAPANESE = (
    "ある列車が午前七時にリヨンを出発し、時速九十キロで走ります。トリノまでの距離が三百十キロのとき、"
    "到着するのは何時何分ですか。理由も書きなさい。"
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (QUESTION, True),
        (f"Please solve: {QUESTION.upper()} Thanks.", True),
        (QUESTION.replace("; ", " -- ").replace(" ", "\n"), True),  # only the words count
        (" ".join(QUESTION.split()[:13]), True),
        (" ".join(QUESTION.split()[:12]), False),
        (QUESTION.replace("at ninety", "at sixty"), False),  # eight words in a row are left
        (JAPANESE, True),
        (f"Translate this: {JAPANESE}", True),
        (JAPANESE.replace("、", "").replace("。", ""), True),
        (letters_of(words_of(JAPANESE))[:50], True),
        (letters_of(words_of(JAPANESE))[:49], False),
        ("What is 2 + 2?", True),  # too short for an n-gram: found as a whole
        ("Tell me, what is 2 + 2?", False),
        ("", False),
        ("...", False),
    ],
)
def test_what_is_found(text: str, found: bool) -> None:
    index = BenchmarkIndex.of([QUESTION, JAPANESE, "What is 2+2?", "", "?!"])
    assert index.holds(text) is found


def test_a_benchmarks_own_wording_is_no_question() -> None:
    wording = "Answer the following multiple choice question with one of the letters A B C or D:"
    rows = [f"{wording} {' '.join(f'w{row}x{at}' for at in range(20))}" for row in range(10)]
    index = BenchmarkIndex.of(rows)
    assert not index.holds(f"{wording} something else altogether")
    assert index.holds(rows[3])
    assert BenchmarkIndex.of(rows[:9]).holds(f"{wording} something else altogether")


def test_pairs_that_hold_it_on_any_side_are_flagged(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text(json.dumps({"question": QUESTION, "answer": 4}) + "\n")
    second.write_text(json.dumps({"prompt": [{"role": "user", "content": JAPANESE}]}) + "\n")
    checks = Checks(benchmark=read_benchmark([first, second]))

    def pair(name: str, *texts: str) -> Pair:
        prompt, chosen, rejected = ({"role": "user", "content": text} for text in texts)
        return Pair((prompt,), (chosen,), (rejected,), id=name)  # type: ignore[arg-type]

    pairs = [
        pair("a", QUESTION, "8", "9"),
        pair("b", "Write!", JAPANESE, "9"),
        pair("c", "Write!", "x", f"{QUESTION} 8"),
        pair("d", "Write!", "x", "y"),
    ]
    found = score_pairs(pairs, drop=("contaminated",), checks=checks)
    assert [each.id for each in found.pairs] == ["d"]
    assert found.dropped == {"contaminated": 3}
    assert read_benchmark([first, second]).rows == 2
    first.write_text('{"answer": "4"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:1.*prompt or question"):
        read_benchmark([first])


@pytest.mark.parametrize(
    ("text", "words", "spaceless"),
    [
        ("Don't PANIC, 42!", ["don", "t", "panic", "42"], False),
        ("\uff21\uff22\uff23 e\u0301", ["abc", "é"], False),
        ("東京タワー", list("東京タワー"), True),
        ("ภาษา", list("ภาษา"), True),
        ("한국어 문장", ["한국어", "문장"], False),
        ("use 東京", ["use", "東", "京"], False),
        ("", [], False),
    ],
)
def test_words(text: str, words: list[str], spaceless: bool) -> None:
    assert words_of(text) == words
    assert is_spaceless(words) is spaceless


def test_ngrams() -> None:
    assert list(ngrams(["a", "b", "c"], 2)) == ["a b", "b c"]
    assert list(ngrams("abc", 2)) == ["ab", "bc"]
    assert list(ngrams(["a"], 2)) == []
