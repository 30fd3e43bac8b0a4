"""Grapheme clusters: the quick way for plain ASCII gives the same as Unicode's rules."""

from __future__ import annotations

import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from clairkit.scoring import units_of
from clairkit.scoring.units import FLAG

ascii_texts = st.text(st.characters(max_codepoint=127))


@given(ascii_texts | st.text())
def test_units_are_extended_grapheme_clusters(text: str) -> None:
    assert units_of(text, None) == regex.findall(r"\X", text)


def test_a_windows_line_break_is_one() -> None:
    assert units_of("a\r\n\r", None) == ["a", "\r\n", "\r"]


# What Unicode has rules for: flags, marks, joiners, prefixes, Hangul, Indic conjuncts, line breaks.
_RULED = "\U0001f1e6\U0001f1ff\u0301\u200d\u0903\u0600\U0001f468\U0001f3fb\r\na\u1100\u1161\u11a8"
_RULED += "\u0915\u094d\ufe0f\0\u3042\u0e33\U000e0061\u0d4e\uac00"


@settings(max_examples=2000, deadline=None)
@given(st.text(st.sampled_from(_RULED), max_size=12))
def test_flags_among_all_that_joins_or_parts_characters(text: str) -> None:
    assert units_of(text, None) == regex.findall(r"\X", text)


@given(st.integers(0, 2000), st.sampled_from(["", "a", "\u3042", "\u0600", "\n"]))
def test_a_row_of_flags_is_read_without_looking_back(count: int, after: str) -> None:
    r"""The part of the pattern that never looks back takes all; `\X` would count from the first."""
    row = "\U0001f1ef\U0001f1f5" * count + "\U0001f1ef"
    flags = [row[at : at + 2] for at in range(0, len(row), 2)]
    assert regex.findall(FLAG, row + after) == flags
    assert units_of(row + after, None) == flags + list(after)
