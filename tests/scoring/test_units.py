"""Grapheme clusters: the quick way for plain ASCII gives the same as Unicode's rules."""

from __future__ import annotations

import regex
from hypothesis import given
from hypothesis import strategies as st

from clairkit.scoring import units_of

ascii_texts = st.text(st.characters(max_codepoint=127))


@given(ascii_texts | st.text())
def test_units_are_extended_grapheme_clusters(text: str) -> None:
    assert units_of(text, None) == regex.findall(r"\X", text)


def test_a_windows_line_break_is_one() -> None:
    assert units_of("a\r\n\r", None) == ["a", "\r\n", "\r"]
