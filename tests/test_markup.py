"""Texts of others: hidden characters are spelt out and secrets are gone, at once or one by one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from clairkit import markup
from clairkit.display import REDACTED, printable
from clairkit.markup import Markup, _environment, clean, data_json, render, shown

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


def test_texts_are_escaped_and_cleaned_in_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "asset", {"x": "<a title='{{ a }}'>{{ a }}</a>{{ b }}"}.__getitem__)
    _environment.cache_clear()
    monkeypatch.setenv("SOME_API_KEY", "hunter2-hunter2")
    made = render("x", a="'<b>\u202e hunter2-hunter2", b=Markup("<i>"))
    said = f"&#39;&lt;b&gt;\\u202e {REDACTED}"
    assert made == f"<a title='{said}'>{said}</a><i>"
    _environment.cache_clear()
    with pytest.raises(UndefinedError):
        render("x", a="")
    _environment.cache_clear()


@given(st.recursive(CHARACTERS.filter(str.isprintable), st.lists))
def test_data_stands_in_a_script_element(value: object) -> None:
    made = data_json(value)
    assert not set("<>&") & set(made)
    assert json.loads(made) == value
