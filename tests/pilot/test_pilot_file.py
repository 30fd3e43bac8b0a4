"""`pilot.yaml`: both languages say the same, and what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pilot_folders import ask_for

from clairkit.errors import DataError, UsageError
from clairkit.pilot.pilot_file import Pilot, find_pilot, init_pilot, words_of


def begun(folder: Path, language: str = "en") -> Pilot:
    init_pilot(folder, language)
    return find_pilot(str(folder))


def test_both_languages_hold_the_same_values(tmp_path: Path) -> None:
    english, japanese = begun(tmp_path / "en"), begun(tmp_path / "ja", "ja")
    assert japanese.language == "ja"
    names = {name: getattr(english, name) for name in ("folder", "title", "decision", "language")}
    assert replace(japanese, **names) == english


def test_each_field_is_explained(tmp_path: Path) -> None:
    for language in ("en", "ja"):
        text = init_pilot(tmp_path / language, language).read_text(encoding="utf-8")
        lines = text.splitlines()
        for at, line in enumerate(lines):
            if line[:1].isalpha():
                around = (lines[at - 1], lines[at - 2], line)
                assert any("#" in each for each in around), line


def test_a_pilot_is_not_written_over(tmp_path: Path) -> None:
    init_pilot(tmp_path, "en")
    with pytest.raises(UsageError, match="there already"):
        init_pilot(tmp_path, "en")


def test_a_folder_without_one_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="clairkit pilot init"):
        find_pilot(str(tmp_path))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"titel": "x"}, "title"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": "many"}, "seeds"),
        ({"runs": ["one"]}, "as many runs as seeds"),
        ({"language": "fr"}, "en or ja"),
        ({"wanted": {"win_rate": 50}}, "above 50"),
        ({"wanted": {"usable": 120}}, "below 100"),
        ({"wanted": {"promts": 3}}, "prompts"),
        ({"build": [1]}, "no mapping of options"),
        ({"labels": {"raters": {"a": 1}}}, "list of texts"),
        ({"title": ""}, "a text is needed"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    init_pilot(tmp_path, "en")
    ask_for(tmp_path, **values)
    with pytest.raises(DataError, match=said):
        find_pilot(str(tmp_path))


def test_options_become_words() -> None:
    options = {
        "max_cost": 5,
        "skip_bad": True,
        "force": False,
        "limit": None,
        "judge": ["a", "b"],
        "guards": [{"check": "python:x:y", "margin": 4}],
        "seed": -1,
    }
    assert words_of(options) == [
        *("--max-cost", "5"),
        "--skip-bad",
        *("--judge", "a", "--judge", "b"),
        *("--guards", '{"check": "python:x:y", "margin": 4}'),
        "--seed=-1",
    ]
