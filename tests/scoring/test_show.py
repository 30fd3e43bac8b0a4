"""One pair to look at: how it is found, what is folded."""

from __future__ import annotations

import pytest

from clairkit.errors import DataError
from clairkit.records import Message, Pair
from clairkit.scoring.show import find_pair, fold, side_text


def test_folding_keeps_both_ends() -> None:
    text = "".join(f"word{at} " for at in range(100))
    assert fold(text, 30) == f"{text[:30]}[… {len(text) - 60} characters …]{text[-30:]}"
    assert fold(text, 30, first=True) == f"[… {len(text) - 30} characters …]{text[-30:]}"
    assert fold(text, 30, last=True) == f"{text[:30]}[… {len(text) - 30} characters …]"
    assert fold("short", 30, first=True, last=True) == "short"
    family = "👩‍👧"  # three code points, one character
    assert fold(family * 101, 30) == f"{family * 30}[… 41 characters …]{family * 30}"


def pair(name: str) -> Pair:
    turn: Message = {"role": "assistant", "content": name}
    return Pair(prompt=(), chosen=(turn,), rejected=(), id=name)


def test_a_pair_is_found_by_how_its_id_begins() -> None:
    pairs = [pair("abc1"), pair("abc"), pair("xyz")]
    assert find_pair(pairs, "x").id == "xyz"
    assert find_pair(pairs, "abc").id == "abc"  # a whole id, although another begins so
    with pytest.raises(DataError, match=r"several pairs' ids begin so.*abc1, abc$"):
        find_pair(pairs, "ab")
    with pytest.raises(DataError, match=r"no pair has this id.*abc1, abc, xyz"):
        find_pair(pairs, "q")
    with pytest.raises(DataError, match="Look for it in another file"):
        find_pair([], "q")


def test_roles_are_shown_where_there_are_several() -> None:
    one: Message = {"role": "assistant", "content": "a"}
    assert side_text([one]) == "a"
    assert side_text([{"role": "tool", "content": "b"}, one]) == "tool: b\nassistant: a"
