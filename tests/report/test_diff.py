"""What differs: nothing is lost, and edits are as large as a reader would mark them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.report.diff import _merged, diff, units

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
        "It cost ",
        "140",
        "14",
        " EUR.",
        "",
        "",
    )


def test_what_is_equal_by_chance_between_edits_is_merged() -> None:
    parts = diff("He went home early", "She drove there later").parts
    assert parts == ("", "He went home early", "She drove there later")


def test_a_shared_line_break_is_never_merged() -> None:
    parts = diff("first line\nsecond line", "other words\nnew text").parts
    assert parts[3] == "\n"


class Counted(str):
    """Counts the characters that joining it with `+` copies."""

    copied = 0

    def __add__(self, other: str) -> Counted:
        Counted.copied += len(self) + len(other)
        return Counted(super().__add__(other))


def copied(words: int) -> int:
    """How much is copied when very many edits are joined into one."""
    Counted.copied = 0
    threes = [(Counted(" "), Counted("old"), Counted("new"))] * words
    (_, gone, new), *rest = _merged([(Counted(""), Counted("old"), Counted("new")), *threes])
    assert not rest
    assert (len(gone), len(new)) == (3 + 4 * words, 3 + 4 * words)
    return Counted.copied


def test_edits_are_joined_once_however_many_they_are() -> None:
    assert copied(2000) <= 2 * copied(1000) + 8


WORDS = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "bb ", "c\n"]),
        st.text("xy", max_size=3),
        st.text("zw", max_size=3),
    ),
    max_size=12,
)


@given(WORDS)
def test_edits_are_joined_as_one_by_one(threes: list[tuple[str, str, str]]) -> None:
    result: list[tuple[str, str, str]] = []
    for equal, gone, new in threes:
        if result and "\n" not in equal:
            start, gone_before, new_before = result[-1]
            shortest = min(max(map(len, (gone, new))), max(map(len, (gone_before, new_before))))
            if len(equal) <= shortest:
                result[-1] = (start, gone_before + equal + gone, new_before + equal + new)
                continue
        result.append((equal, gone, new))
    assert _merged(threes) == result


def test_a_long_row_of_flags_is_one_unit_a_flag() -> None:
    assert units("\U0001f1ef\U0001f1f5" * 5000) == ["\U0001f1ef\U0001f1f5"] * 5000
