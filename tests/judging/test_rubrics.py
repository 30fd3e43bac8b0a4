"""Rubrics: built-in ones by name, a user's from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from clairkit.errors import DataError, UsageError
from clairkit.judging.rubrics import TEXTS, Rubric, load_rubric
from clairkit.records import digest
from clairkit.texts import languages, texts


def test_several_are_joined_in_order(tmp_path: Path) -> None:
    file = tmp_path / "house, style.md"
    file.write_text("- Say 'sign in'.\n\n", encoding="utf-8")
    assert load_rubric(str(file)) == Rubric("house, style.md", "- Say 'sign in'.")
    other = tmp_path / "other"
    other.write_text("- No jokes.")
    both = load_rubric(f"safe, {other}")
    assert both == Rubric("safe,other", f"{load_rubric('safe').text}\n- No jokes.")


def test_each_language_has_each_rubric_in_its_own_words() -> None:
    names, spoken = texts(TEXTS)["rubrics"], languages(TEXTS)
    found = {load_rubric(name, language).text for name in names for language in spoken}
    assert len(found) == len(spoken) * len(names) >= 10
    assert load_rubric(None) == load_rubric("general")


def test_a_wrong_name_gets_a_hint() -> None:
    with pytest.raises(UsageError, match=r"'corectness'.*Did you mean correctness"):
        load_rubric("safe,corectness")
    with pytest.raises(UsageError, match="no such rubric"):
        load_rubric("safe,")
    with pytest.raises(UsageError, match="Give one of en, ja"):
        load_rubric("safe", "fr")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b" \n", "blank"), (b"\xff\xfe", "UTF-8"), (b"x" * (2**20 + 1), "1 MiB")],
)
def test_a_file_that_is_no_rubric(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_rubric(str(tmp_path / "r"))


@pytest.mark.parametrize(
    ("language", "expected"), [("en", "054481f1e92108a2"), ("ja", "a1848e4a13d6a88a")]
)
def test_the_built_in_ones_are_what_they_always_were(language: str, expected: str) -> None:
    names = ("general", "correctness", "concise", "complete", "safe")
    assert digest([load_rubric(name, language).text for name in names])[:16] == expected
