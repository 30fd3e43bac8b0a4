"""Copies, evaluation prompts and outliers among many pairs."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from clairkit.errors import DataError
from clairkit.records import Pair
from clairkit.scoring import Checks, score_pairs
from clairkit.scoring.checks import FAR, log_ratio, outliers, read_evaluation
from clairkit.scoring.copies import NEAR, Shingles, near_duplicates

WORDS = [f"word{at}" for at in range(400)]


def pair(name: str, chosen: str, rejected: str, prompt: str = "Why?") -> Pair:
    return Pair(
        prompt=({"role": "user", "content": prompt},),
        chosen=({"role": "assistant", "content": chosen},),
        rejected=({"role": "assistant", "content": rejected},),
        id=name,
    )


def flags_of(pairs: Sequence[Pair], checks: Checks | None = None) -> dict[str, tuple[str, ...]]:
    found = score_pairs(pairs, checks=checks)
    return {pair.id: scores.flags for pair, scores in zip(found.pairs, found.scores, strict=True)}


def text(seed: int, count: int = 200) -> list[str]:
    draw = random.Random(seed)
    return [draw.choice(WORDS) for _ in range(count)]


def test_all_but_the_first_of_copies_are_flagged_in_any_order() -> None:
    pairs = [
        pair("c", "it is", "it was"),
        pair("a", "it is", "it was"),
        pair("b", " it is\n", "it was"),  # white space at the ends is no difference
        pair("d", "it was", "it is"),  # the opposite preference is no copy
        pair("e", "it is", "it was", prompt="Why not?"),
    ]
    expected = {"a": (), "b": ("duplicate",), "c": ("duplicate",), "d": (), "e": ()}
    for seed in range(4):
        random.Random(seed).shuffle(pairs)
        assert flags_of(pairs) == expected
    dropped = score_pairs(pairs, drop=("duplicate",))
    assert [each.id for each in dropped.pairs] == ["a", "d", "e"]
    assert dropped.dropped == {"duplicate": 2}


def test_near_copies_are_flagged_when_asked_for() -> None:
    words = text(1)
    pairs = [
        pair("a", " ".join(words), "No."),
        pair("b", " ".join([*words[:-1], "end"]).upper(), "No!"),
        pair("c", " ".join(text(2)), "No."),
        pair("d", " ".join(words), "No."),
    ]
    plain = {"a": (), "b": (), "c": (), "d": ("duplicate",)}
    assert flags_of(pairs) == plain
    assert flags_of(pairs, Checks(near=True)) == {**plain, "b": ("near_duplicate",)}
    kept = score_pairs(pairs, drop=("duplicate", "near_duplicate"))
    assert [each.id for each in kept.pairs] == ["a", "c"]
    assert kept.dropped == {"duplicate": 1, "near_duplicate": 1}


def test_near_copies_in_japanese() -> None:
    first = "東京は日本の首都で、多くの人が電車に乗って仕事へ向かいます。夕方になると静かです。" * 2
    pairs = [pair("a", first, "はい"), pair("b", first.replace("夕方", "夜", 1), "はい")]
    assert flags_of(pairs, Checks(near=True))["b"] == ("near_duplicate",)


def test_minhash_overlooks_none_and_the_count_decides() -> None:
    for seed in range(40):
        words = text(seed)
        changed = list(words)
        for place in random.Random(seed).sample(range(200), seed // 4):
            changed[place] = "changed"
        both = [Shingles.of([" ".join(each)]) for each in (words, changed)]
        expected = [1] if both[0].jaccard(both[1]) >= NEAR else []
        assert list(near_duplicates(both)) == expected


def test_shingles_count_what_is_shared() -> None:
    # Runs of five words of a..g and of a..f h: three and three, two in common.
    first, second = Shingles.of(["a b c d e f g"]), Shingles.of(["a b c d e f h"])
    assert first.jaccard(second) == 2 / 4
    assert Shingles.of(["Short, text."]).jaccard(Shingles.of(["short text"])) == 1


def test_prompts_that_are_evaluated_on(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Who?"},
        {"prompt": "Who?"},
        {"prompt": [{"role": "user", "content": "Why? "}]},
        {"chosen": "Say it. Yes", "rejected": "Say it. No"},
    ]
    path = tmp_path / "eval.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    checks = Checks(evaluation=read_evaluation(path))
    pairs = [pair("a", "b", "c"), pair("b", "b", "c", prompt="Why not?")]
    assert {name: "in_eval" in flags for name, flags in flags_of(pairs, checks).items()} == {
        "a": True,
        "b": False,
    }
    path.write_text('{"query": "Why?"}\n')
    with pytest.raises(DataError, match="missing"):
        read_evaluation(path)


def test_outliers_by_hand() -> None:
    # Median 10, deviations 1 (or 0): MAD 1, so beyond 10 +- 3.5 x 1.4826.
    values: list[float | None] = [9, 10, 11] * 8
    limit = FAR * 1.4826
    for value, expected in ((10 + limit - 0.01, []), (10 + limit + 0.01, [24]), (4, [24])):
        assert list(outliers([*values, value])) == expected
    assert list(outliers([*values, None])) == []
    assert list(outliers([1, 1, 50])) == []  # too few to say


def test_outliers_where_most_values_are_the_same() -> None:
    values = [0.0] * 30
    assert list(outliers(values)) == []
    assert list(outliers([*values, 5.0])) == [30]


def test_twice_and_half_as_long_lie_equally_far() -> None:
    doubled, halved = log_ratio(2), log_ratio(0.5)
    assert doubled == pytest.approx(0.6931, abs=1e-4)
    assert halved == pytest.approx(-0.6931, abs=1e-4)
    assert log_ratio(None) is None
    assert log_ratio(0) is None


def test_a_pair_unlike_the_others_is_flagged() -> None:
    pairs = [pair(f"{at:02}", "abcdefgh" + "xyz"[at % 3], "abcdefghi") for at in range(30)]
    pairs += [pair("long", "abcdefghi" * 9, "abcdefghi"), pair("new", "123456789", "abcdefghi")]
    found = {name: flags for name, flags in flags_of(pairs).items() if flags and name >= "a"}
    assert found == {
        "long": ("length_outlier", "edit_outlier"),
        "new": ("disjoint", "edit_outlier"),
    }
    kept = score_pairs(pairs, drop=("outlier",))
    assert kept.dropped == {"outlier": 2}
