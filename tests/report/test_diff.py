"""What differs: nothing is lost, and edits are as large as a reader would mark them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.report.diff import diff, units

TEXTS = st.text(st.sampled_from("ab \n.漢かカタ👍🏽\u200d\u0301สวัเ123é"), max_size=40)


@given(TEXTS, TEXTS)
def test_the_parts_are_both_sides(rejected: str, chosen: str) -> None:
    parts = diff(rejected, chosen).parts
    assert len(parts) % 3 == 0
    equal, gone, new = parts[::3], parts[1::3], parts[2::3]
    assert "".join(a + b for a, b in zip(equal, gone, strict=True)) == rejected
    assert "".join(a + b for a, b in zip(equal, new, strict=True)) == chosen


@given(st.text())
def test_units_put_together_are_the_text(text: str) -> None:
    assert "".join(units(text)) == text


@given(TEXTS, TEXTS)
def test_the_share_is_that_of_what_changed(rejected: str, chosen: str) -> None:
    share = diff(rejected, chosen).changed_share
    assert 0 <= share <= 1
    assert (share == 0) == (rejected == chosen)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two mugs: 14.", ["Two", " ", "mugs", ":", " ", "14", "."]),
        ("東京タワーは高い", ["東", "京", "タワー", "は", "高", "い"]),
        ("か\u3099ｶﾞｽ", ["か\u3099", "ｶﾞｽ"]),
        ("naïve cafe\u0301", ["naïve", " ", "cafe\u0301"]),
        ("👩\u200d👧👍🏽", ["👩\u200d👧", "👍🏽"]),
        ("ไทยครับ", ["ไ", "ท", "ย", "ค", "รั", "บ"]),
    ],
)
def test_units_are_words_or_clusters(text: str, expected: list[str]) -> None:
    assert units(text) == expected


def test_an_edit_is_a_word_not_a_letter() -> None:
    assert diff("It cost 140 EUR.", "It cost 14 EUR.").parts == (
        "It cost ", "140", "14", " EUR.", "", "",
    )  # fmt: skip


def test_what_is_equal_by_chance_between_edits_is_merged() -> None:
    parts = diff("He went home early", "She drove there later").parts
    assert parts == ("", "He went home early", "She drove there later")


def test_a_shared_line_break_is_never_merged() -> None:
    parts = diff("first line\nsecond line", "other words\nnew text").parts
    assert parts[3] == "\n"
