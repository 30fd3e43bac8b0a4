"""Texts of others: hidden characters are spelt out and secrets are gone, at once or one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clairkit.display import REDACTED, printable
from clairkit.report.text import clean, shown

# lone surrogates, too
CHARACTERS = st.text(st.characters(exclude_categories=()))


@given(CHARACTERS)
def test_shown_is_printable(text: str) -> None:
    assert shown(text) == printable(text)


def test_every_character_that_is_spelt_out_is_found() -> None:
    everything = "".join(map(chr, range(0x3000))) + "".join(map(chr, range(0xD700, 0x10000)))
    assert shown(everything) == printable(everything)


@given(st.lists(CHARACTERS, max_size=6))
def test_many_texts_are_as_one_by_one(texts: list[str]) -> None:
    assert clean(texts) == [shown(text) for text in texts]


def test_secrets_are_taken_out_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "hunter2-hunter2")
    texts = ["before", "the key is hunter2-hunter2", "Bearer abcdefghij", "after \x1e"]
    assert clean(texts) == [
        "before",
        f"the key is {REDACTED}",
        f"Bearer {REDACTED}",
        "after \\x1e",
    ]
