"""Texts of a language: plain text, the same keys and placeholders in each language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clairkit import texts as module
from clairkit.errors import DataError, UsageError
from clairkit.texts import differences, languages, placeholders, texts

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function that writes the languages of the folder "words"."""
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    texts.cache_clear()
    (tmp_path / "words").mkdir()

    def put(**files: str) -> None:
        for code, content in files.items():
            (tmp_path / "words" / f"{code}.yaml").write_text(content, encoding="utf-8")

    return put


def test_every_value_is_text(write: Write) -> None:
    write(en="no: yes\n1: 2.50\nlist: [on, {null: ~}]\nempty:\n")
    assert texts("words") == {"no": "yes", "1": "2.50", "list": ["on", {"null": "~"}], "empty": ""}


def test_a_new_language_is_a_new_file(write: Write) -> None:
    write(en="hello: Hello {name}", ja="hello: '{name}さん'", de="hello: Hallo {name}")
    assert languages("words") == ("en", "de", "ja")
    assert texts("words", "de") == {"hello": "Hallo {name}"}
    with pytest.raises(UsageError, match=r"'xx'.*en, de, ja"):
        texts("words", "xx")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: A {x}\n", "the key b is missing"),
        ("a: A {x}\nb: {c: C, d: D}\n", r"the key b\.d is unknown"),
        ("a: A {y}\nb: {c: C}\n", "a has other placeholders: x, y"),
        ("a: [A, B]\nb: {c: C}\n", "a is a list in one language"),
        ("a: A {x}\nb: B\n", "b holds keys in one language"),
        ("a: A {x}\na: B {x}\n", r"ja\.yaml:1: a key is there twice"),
        ("a: [", "no YAML"),
        ("- a", "must hold keys"),
    ],
)
def test_what_a_language_lacks_is_named(write: Write, content: str, said: str) -> None:
    write(en="a: A {x}\nb: {c: C}\n", ja=content)
    with pytest.raises(DataError, match=said):
        texts("words", "ja")


def test_open_ended_sections_are_filled_from_english(write: Write) -> None:
    write(
        en="a: A\nnames: {x: X, y: Y}\n", ja="a: B\nnames: {x: エ, z: ゼ}\nphrases: {Loss: 損失}\n"
    )
    found = texts("words", "ja", ("names", "phrases"))
    assert found["names"] == {"x": "エ", "y": "Y", "z": "ゼ"}
    assert found["phrases"] == {"Loss": "損失"}
    assert texts("words", "en", ("names", "phrases"))["phrases"] == {}


@pytest.mark.parametrize(
    ("value", "names"), [("{a} {{b}} { c }", {"a", "b"}), (["{a}", {"k": "{b}"}], {"a", "b"})]
)
def test_placeholders(value: Any, names: set[str]) -> None:
    assert placeholders(value) == names
    assert not list(differences({"x": value}, {"x": value}))
