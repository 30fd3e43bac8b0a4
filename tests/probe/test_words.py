"""Words, numbers and windows of texts."""

from __future__ import annotations

import pytest

from clairkit.probe.fault_injection import contains, content_words, numbers_in, window, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It isn't, it's 1,250.5!", ["it", "is", "not", ",", "it", "'", "s", "1,250.5", "!"]),
        ("You can't and cannot.", ["you", "can", "not", "and", "can", "not", "."]),
        ("3個の東京タワー。", ["3", "個", "の", "東", "京", "タ", "ワ", "ー", "。"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_numbers_are_read_without_commas_of_thousands() -> None:
    assert numbers_in("1,250 and 1250 and 1,5 and 1.250.") == {"1250": 2, "1,5": 1, "1.250": 1}


def test_contains_counts_whole_words() -> None:
    assert contains("The cat. A cat, concatenated", "cat") == 2
    assert contains("is not open", "is open") == 0
    assert contains("anything", "") == 0


def test_a_window_has_what_stands_beside() -> None:
    assert window("The shop is open.", 9, 11) == "shop is open"
    assert window("is", 0, 2) == "is"
    assert window("返品はできます。", 3, 7) == "返品はできます。"


def test_content_words() -> None:
    assert content_words("The old filter is out") == {"filter"}
    assert content_words("米を研ぐ") == {"米を", "を研", "研ぐ"}
